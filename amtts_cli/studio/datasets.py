"""What the Datasets tab does: rows of a dataset with what a person decided, pages of them, commands, its report."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amtts_cli.studio.workspace import Workspace
from amtts_core.corpus.corpus import DataProvenance, corpus_normalizer, corpus_provenance
from amtts_core.corpus.edits import Edit, add_edit, read_edits
from amtts_core.corpus.ledger import MANIFEST
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.corpus.report.build import DATA
from amtts_core.corpus.report.model import CorpusReport
from amtts_core.errors import AmttsError

PAGE = 25
"""Rows of a page."""
SHOWS = ("all", "edited", "flagged")
_KEPT = 4  # manifests that are remembered


@dataclass(frozen=True)
class Row:
    """An utterance and what a person decided of it.

    Attributes:
        number: in the manifest, from 1.
        utterance: as the manifest has it.
        edit: what holds for it; nothing changed where nobody edited it.
    """

    number: int
    utterance: Utterance
    edit: Edit

    @property
    def text(self) -> str:
        """The corrected text, or that of the manifest."""
        return self.edit.text or self.utterance.text

    @property
    def split(self) -> str:
        """train, val or test."""
        return str((self.utterance.model_extra or {}).get("split", ""))

    @property
    def flags(self) -> list[str]:
        """Why it stands out."""
        found = (self.utterance.model_extra or {}).get("flags") or []
        return [str(flag.get("rule", flag)) if isinstance(flag, dict) else str(flag) for flag in found]


class Manifests:
    """Manifests that were read, by file and its time of change."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[str, int, int], list[Utterance]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, corpus: Path) -> list[Utterance]:
        """The utterances of a dataset.

        Raises:
            AmttsError: the folder is no dataset, or its manifest is damaged.
        """
        manifest = corpus / MANIFEST
        if not manifest.is_file():
            manifest = corpus / "train.jsonl"
        try:
            status = manifest.stat()
        except OSError:
            raise AmttsError(
                f"'{corpus.name}' is no dataset: it has no {MANIFEST}", remedy="Make one in Import"
            ) from None
        key = (str(manifest), status.st_size, status.st_mtime_ns)
        with self._lock:
            if key not in self._read:
                self._read[key] = list(read_manifest(manifest))
                while len(self._read) > _KEPT:
                    self._read.popitem(last=False)
            self._read.move_to_end(key)
            return self._read[key]


_MANIFESTS = Manifests()


def rows_of(corpus: Path, *, query: str = "", show: str = "all") -> list[Row]:
    """The rows of a dataset that fit.

    Args:
        corpus: its folder.
        query: part of a text, an id or a speaker's name.
        show: "all", "edited" or "flagged".

    Raises:
        AmttsError: no dataset, or damaged.
    """
    edits = read_edits(corpus)
    wanted = query.strip().casefold()
    found = []
    for number, utterance in enumerate(_MANIFESTS.of(corpus), 1):
        edit = edits.get(utterance.id) or Edit(utterance.id)
        row = Row(number, utterance, edit)
        if show == "edited" and not edit.changes:
            continue
        if show == "flagged" and not row.flags:
            continue
        if wanted and not any(
            wanted in part.casefold() for part in (row.text, utterance.id, utterance.speaker)
        ):
            continue
        found.append(row)
    return found


def page_of(rows: Sequence[Row], number: int) -> tuple[Sequence[Row], int, int]:
    """The rows of a page, its number as it is (from 1), and how many pages there are."""
    pages = max(1, -(-len(rows) // PAGE))
    number = min(max(1, number), pages)
    return rows[(number - 1) * PAGE : number * PAGE], number, pages


def correct(corpus: Path, row: Row, text: str) -> None:
    """Remembers a corrected text; the text of the manifest takes a correction back.

    Raises:
        AmttsError: it is empty, or cannot be written.
    """
    said = " ".join(text.split())
    if not said:
        raise AmttsError(f"the text of '{row.utterance.id}' is empty", remedy="Reject the utterance instead")
    if said == row.text:
        return
    add_edit(corpus, row.utterance.id, text="" if said == row.utterance.text else said)


def decide(corpus: Path, row: Row, *, keep: bool) -> None:
    """Remembers whether an utterance stays.

    Raises:
        AmttsError: it cannot be written.
    """
    if row.edit.keep != keep:
        add_edit(corpus, row.utterance.id, keep=keep)


def spoken(corpus: Path, row: Row) -> str:
    """How the text is read: as in the manifest, or normalized as the dataset was where it was corrected."""
    if row.edit.text:
        return corpus_normalizer(corpus)(row.edit.text)
    return row.utterance.spoken_text()


def audio_of(corpus: Path, row: Row) -> Path:
    """The recording of a row.

    Raises:
        AmttsError: it is not there, or lies outside of the dataset's workspace.
    """
    path = row.utterance.audio_path(corpus / MANIFEST)
    if not path.is_file():
        raise AmttsError(f"the recording of '{row.utterance.id}' is gone: {row.utterance.audio_filepath}")
    return path


def counts(corpus: Path) -> tuple[int, int]:
    """How many utterances were rejected and how many corrected by hand."""
    edits = read_edits(corpus).values()
    return sum(not edit.keep for edit in edits), sum(edit.keep and bool(edit.text) for edit in edits)


def merge_command(
    workspace: Workspace,
    corpora: Sequence[str],
    name: str,
    *,
    same_speakers: bool = False,
    sample_rate: float = 0,
) -> list[str]:
    """Arguments of `amtts` that join datasets, or make a new version of one that was edited.

    Raises:
        AmttsError: a dataset or the name cannot be used, or there is nothing to do.
    """
    if not corpora:
        raise AmttsError("no dataset is chosen", remedy="Choose two or more")
    folders = [workspace.existing(corpus, what="dataset") for corpus in corpora]
    if len(folders) == 1 and not read_edits(folders[0]):
        raise AmttsError(
            f"nothing was corrected or rejected in '{corpora[0]}'", remedy="Choose two datasets to join them"
        )
    out = workspace.new(name, what="name of the new dataset")
    words = ["merge", *(workspace.name(folder) for folder in folders), "--out", workspace.name(out)]
    if same_speakers or len(folders) == 1:
        words.append("--same-speakers")
    if sample_rate:
        words.append(f"--sample-rate={int(sample_rate)}")
    return words


def split_command(workspace: Workspace, corpus: str, *, val: float, test: float, by: str) -> list[str]:
    """Arguments of `amtts` that split a dataset anew.

    Raises:
        AmttsError: there is no such dataset.
    """
    folder = workspace.existing(corpus, what="dataset")
    return ["split", workspace.name(folder), f"--val={val:g}", f"--test={test:g}", f"--by={by}"]


def report_of(corpus: Path) -> CorpusReport | None:
    """The report of a dataset; None where it has none that can be read."""
    try:
        return CorpusReport.model_validate_json((corpus / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def provenance_of(corpus: Path) -> DataProvenance:
    """Licenses and consent that a dataset states."""
    return corpus_provenance(corpus)
