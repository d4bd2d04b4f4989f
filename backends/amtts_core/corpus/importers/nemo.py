"""NeMo manifests: a JSON object a line with `audio_filepath`, `text`, and maybe `offset` and `duration`."""

from __future__ import annotations

import itertools
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from amtts_core.corpus.importers.base import Reading, ReadOptions
from amtts_core.corpus.importers.foreign_json import flatten
from amtts_core.corpus.importers.json_manifest import detect_json, manifests_in, open_manifest
from amtts_core.corpus.importers.json_rows import first_row, read_objects
from amtts_core.errors import AmttsError


class Nemo:
    """Where a row has an offset, the clip is that part of its file."""

    name: ClassVar[str] = "nemo"
    summary: ClassVar[str] = "a NeMo manifest: JSON lines with audio_filepath, text, offset, duration"

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where a manifest's first row names audio and text but is not amtts' own."""
        return len(_manifests(source)) == 1

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the manifest."""
        return open_manifest(
            _only(_manifests(source), source, "NeMo manifest (rows with audio_filepath and text)"), options
        )


class JsonManifest:
    """Objects of any other tool that name a recording and its text."""

    name: ClassVar[str] = "json"
    summary: ClassVar[str] = (
        "JSON lines or a JSON list with recordings and texts under any keys; Lhotse cuts; exports of Label Studio"
    )

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where exactly one JSON file can be understood, and it is no NeMo manifest and not amtts' own."""
        return len(_readable(source, options)) == 1

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the file."""
        if not source.is_dir():
            return open_manifest(source, options)
        found = _readable(source, options)
        if not found and (any_json := manifests_in(source)):
            detect_json(any_json[0], options)  # says what is wrong with it
        return open_manifest(_only(found, source, "JSON file with recordings and texts"), options)


def _only(found: list[Path], source: Path, what: str) -> Path:
    if len(found) == 1:
        return found[0]
    names = f"several: {', '.join(path.name for path in found[:5])}" if found else "none"
    raise AmttsError(f"{source} should hold one {what}, found {names}", remedy="Name the file itself")


def _manifests(source: Path) -> list[Path]:
    return [path for path in manifests_in(source) if _is_manifest(path)]


def _is_manifest(path: Path) -> bool:
    row = first_row(path) if not path.name.lower().endswith(".gz") else {}
    return "audio_filepath" in row and "text" in row and not is_own(row)


def is_own(row: dict[str, Any]) -> bool:
    """True for a row that amtts wrote."""
    return "id" in row and "normalized_text" in row and "audio_filepath" in row


def _readable(source: Path, options: ReadOptions) -> list[Path]:
    found: list[Path] = []
    for path in manifests_in(source):
        if _is_manifest(path) or is_own(first_row(path) if path.suffix != ".gz" else {}):
            continue
        if path.suffix.lower() == ".gz" and path.with_suffix("") in found:
            continue  # the same, packed
        status = path.stat()
        if _is_readable(path, status.st_size, status.st_mtime_ns, options.audio_root):
            found.append(path)
    return found


@lru_cache(maxsize=64)
def _is_readable(path: Path, size: int, changed: int, audio_root: Path | None) -> bool:
    """Size and time of the last change tell that it is the same file."""
    try:
        options = ReadOptions(audio_root=audio_root)
        layout = detect_json(path, options)
        if layout.kind != "plain":
            return True
        audio = layout.keys[layout.columns.roles["audio"]]
        locator = options.locator(path.parent, above=layout.above)
        objects = [row for _, row in itertools.islice(read_objects(path), 20) if isinstance(row, dict)]
        rows = [row for one in objects for row in flatten(layout.kind, one) if isinstance(row, dict)]
        return any(isinstance(row.get(audio), str) and locator.names_a_file(row[audio]) for row in rows)
    except (AmttsError, OSError):
        return False
