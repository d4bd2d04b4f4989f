"""What the Import tab does: takes uploads in, looks into a source, starts `amtts prepare`, reads its ledger."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from amtts_cli.studio.workspace import Workspace
from amtts_core.corpus.importers.archive import is_archive, outside_names
from amtts_core.corpus.importers.columns import Columns
from amtts_core.corpus.importers.layout import TABLE_SUFFIXES
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, suffix_of
from amtts_core.corpus.ledger import LEDGER
from amtts_core.corpus.look import SourceLook, look_into, table_of
from amtts_core.corpus.settings import parse_columns, resolve_settings
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import read_json_lines

UPLOADS = "uploads"
SUBTITLES = (
    ".srt",
    ".vtt",
    ".ass",
    ".ssa",
    ".sub",
    ".sbv",
    ".ttml",
    ".dfxp",
    ".json",
    ".json3",
    ".textgrid",
    ".eaf",
)
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".tbz2", ".txz")
TEXTS = (".txt", ".lab", ".jsonl", ".parquet")
KINDS = tuple(sorted({*SOUND_SUFFIXES, *SUBTITLES, *ARCHIVES, *TEXTS, *TABLE_SUFFIXES}))
"""Endings of what may be uploaded."""
ROLES = ("audio", "text", "speaker", "spoken", "start", "end", "duration")
"""Roles that a person may give to a column here."""
_MOST = 2000  # files of an upload
_LONGEST_NAME = 200
SHOWN = 200
"""Rows of a ledger that are shown."""


@dataclass(frozen=True)
class Undecided:
    """A source whose columns could not be told apart.

    Attributes:
        problem: in one line.
        rows: the first rows of its table.
    """

    problem: str
    rows: Sequence[Sequence[str]]


def take_uploads(workspace: Workspace, files: Sequence[str], *, largest: int) -> str:
    """Moves what was uploaded into a folder of its own in the workspace, all of it or nothing.

    Args:
        workspace: its files are where a browser's uploads arrive.
        files: as they arrived.
        largest: bytes of a file.

    Returns:
        the folder's name in the workspace.

    Raises:
        AmttsError: a file is none of an upload, of no known kind, too large, or an archive that is a bomb or leads
            out of its folder.
    """
    if not files:
        raise AmttsError("nothing was uploaded", remedy="Choose recordings, subtitles, a table or an archive")
    if len(files) > _MOST:
        raise AmttsError(
            f"{len(files)} files at once, at most {_MOST} are taken", remedy="Upload them as a .zip"
        )
    chosen: dict[str, Path] = {}
    for file in files:
        path = _uploaded(workspace, file)
        name = _checked(path, largest)
        if name.casefold() in {other.casefold() for other in chosen}:
            raise AmttsError(f"two files are named {name}", remedy="Upload folders as a .zip")
        chosen[name] = path
    folder = workspace.root / UPLOADS / workspace_name(workspace)
    part = folder.with_name(f".{folder.name}.part")
    try:
        part.mkdir(parents=True)
        for name, path in chosen.items():
            try:
                os.link(path, part / name)
            except OSError:  # a file system without links
                shutil.copyfile(path, part / name)
        part.rename(folder)
    except OSError as error:
        raise AmttsError(f"the upload cannot be kept: {error.strerror}", remedy="Free space") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return workspace.name(folder)


def workspace_name(workspace: Workspace) -> str:
    """A name for an upload that is not taken, after the time."""
    stem, number = time.strftime("%Y-%m-%d-%H%M%S"), 1
    name = stem
    while (workspace.root / UPLOADS / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def _uploaded(workspace: Workspace, file: str) -> Path:
    try:
        path = Path(file).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise AmttsError(f"'{Path(file).name[:80]}' was not uploaded") from None
    if not path.is_relative_to(workspace.files) or not path.is_file() or ".." in Path(file).parts:
        raise AmttsError(f"'{str(file)[-80:]}' is no upload of this studio")
    return path


def _checked(path: Path, largest: int) -> str:
    """The name under which an upload is kept."""
    name = path.name
    if (
        len(name.encode()) > _LONGEST_NAME
        or name.startswith((".", "-"))
        or any(ord(sign) < 32 or sign in '/\\:"<>|?*' for sign in name)
    ):
        raise AmttsError(f"{name[:80]!r} is no name that is kept", remedy="Rename the file")
    if suffix_of(name) not in KINDS:
        raise AmttsError(
            f"{name} is of no kind that is imported ({suffix_of(name) or 'no ending'})",
            remedy="Recordings, videos, subtitles, tables (.csv .tsv .xlsx) and archives (.zip .tar) are",
        )
    size = path.stat().st_size
    if size > largest:
        raise AmttsError(
            f"{name} has {size >> 20} MiB, at most {largest >> 20} MiB are taken",
            remedy="Copy it into the workspace folder, or start the studio with a larger --max-upload",
        )
    if not size:
        raise AmttsError(f"{name} is empty")
    if is_archive(path) and (outside := outside_names(path)):
        raise AmttsError(
            f"{name} holds {outside[0][:80]!r}, which leads out of its folder", remedy="Pack it anew"
        )
    return name


def look(
    workspace: Workspace,
    source: str,
    *,
    columns: str = "",
    speaker: str = "",
    language: str = "am",
    shown: int = 10,
) -> SourceLook | Undecided:
    """How a source of the workspace is read; `Undecided` where a person has to say what its columns are.

    Raises:
        AmttsError: there is no such source, or it cannot be read.
    """
    path = workspace.existing(source, what="source")
    settings = resolve_settings(
        {"columns": parse_columns(columns), "speaker": speaker, "normalizer": {"language": language}}
    )
    place = workspace.files / "looks" / workspace.name(path).replace("/", "-")
    try:
        return look_into(path, place, settings, shown=shown, keep=True)
    except AmttsError as fault:
        if "--columns" not in str(fault):
            raise
        found = table_of(path, place)
        if found is None:
            raise
        return Undecided(_without_root(str(fault), workspace), found[1])


def _without_root(text: str, workspace: Workspace) -> str:
    return text.replace(f"{workspace.root}/", "")


def chosen_columns(roles: Mapping[str, int | None], found: Columns | None) -> str:
    """`--columns` for roles that a person gave: all of them where they differ from what was found, nothing otherwise.

    Args:
        roles: role -> column from 1; None for no column.
        found: the columns as they were read.
    """
    given = {role: number for role, number in roles.items() if number}
    before = {role: column + 1 for role, column in found.roles.items() if role in ROLES} if found else {}
    if given == before:
        return ""
    return ",".join(f"{role}={number}" for role, number in given.items())


def prepare_command(
    workspace: Workspace,
    source: str,
    name: str,
    *,
    columns: str = "",
    speaker: str = "",
    language: str = "am",
    license: str = "",
    consent_note: str = "",
    check_transcripts: bool = False,
) -> list[str]:
    """Arguments of `amtts` that make a corpus of a source.

    Raises:
        AmttsError: source or name cannot be used.
    """
    path = workspace.existing(source, what="source")
    out = workspace.path(name, what="name of the dataset")
    if (
        out.exists()
        and any(out.iterdir() if out.is_dir() else [out])
        and not (out / "prepare.json").is_file()
    ):
        raise AmttsError(f"'{name}' is there already and is no dataset", remedy="Choose another name")
    words = ["prepare", workspace.name(path), "--out", workspace.name(out)]
    parse_columns(columns)
    options = {
        "--columns": columns,
        "--speaker": speaker.strip(),
        "--language": language if language != "am" else "",
        "--license": license.strip(),
        "--consent-note": " ".join(consent_note.split()),
        "--check-transcripts": "ctc" if check_transcripts else "",
    }
    return words + [f"{option}={value}" for option, value in options.items() if value]


def read_ledger(corpus: Path) -> tuple[Counter[str], list[dict[str, Any]]]:
    """What a corpus left out: rule -> how often, and the first rows.

    Raises:
        AmttsError: the ledger is damaged.
    """
    path = corpus / LEDGER
    counts: Counter[str] = Counter()
    if not path.is_file():
        return counts, []
    try:
        counts.update(str(row.get("rule", "")) for row in read_json_lines(path))
        return counts, list(islice(read_json_lines(path), SHOWN))
    except (OSError, ValueError) as error:
        raise AmttsError(f"{path.name} cannot be read: {error}", remedy="Prepare it again") from None
