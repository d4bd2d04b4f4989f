"""NeMo manifests: a JSON object a line with `audio_filepath`, `text`, and maybe `offset` and `duration`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading
from amtts_core.corpus.importers.by_name import NameLocator
from amtts_core.corpus.importers.json_rows import first_row, read_rows, span_of, text_of
from amtts_core.corpus.importers.layout import SPEAKER_NAMES, SPOKEN_NAMES, TEXT_NAMES
from amtts_core.errors import AmttsError

_KNOWN = {"audio_filepath", "offset", "duration", "id", "split", "sample_rate", "lang", "audio_bytes"}


class Nemo:
    """Where a row has an offset, the clip is that part of its file; otherwise it is the whole file."""

    name: ClassVar[str] = "nemo"
    summary: ClassVar[str] = "a NeMo manifest: JSON lines with audio_filepath, text, offset, duration"

    def recognises(self, source: Path) -> bool:
        """True where a manifest's first row names audio and text but is not amtts' own."""
        return len(_manifests(source)) == 1

    def read(self, source: Path) -> Reading:
        """Opens the manifest."""
        found = _manifests(source)
        if len(found) != 1:
            told = f"several: {', '.join(path.name for path in found[:5])}" if found else "none"
            raise AmttsError(
                f"{source} should hold one NeMo manifest (rows with audio_filepath and text), found {told}",
                remedy="Name the manifest itself",
            )
        return open_manifest(found[0])


def open_manifest(manifest: Path) -> Reading:
    """A manifest whose paths are relative to its folder."""
    locator = NameLocator(manifest.parent)
    return Reading(locator.root, _entries(manifest, locator), None, f"{manifest.name}: JSON lines")


def _manifests(source: Path) -> list[Path]:
    if source.is_dir():
        names = sorted(name for name in os.listdir(source) if name.lower().endswith((".json", ".jsonl")))
        return [path for path in (source / name for name in names) if _is_manifest(path)]
    return [source] if source.suffix.lower() in (".json", ".jsonl") and _is_manifest(source) else []


def _is_manifest(path: Path) -> bool:
    row = first_row(path)
    return "audio_filepath" in row and "text" in row and not is_own(row)


def is_own(row: dict[str, Any]) -> bool:
    """True for a row that amtts wrote."""
    return "id" in row and "normalized_text" in row and "audio_filepath" in row


def _entries(manifest: Path, locator: NameLocator) -> Iterator[Clip | Fault]:
    for number, row in read_rows(manifest):
        where = f"{manifest.name}:{number}"
        if isinstance(row, str):
            finding = Finding(rule="malformed-line", reason=f"the line {row}")
            yield Fault(where=where, finding=finding)
        else:
            yield _entry(row, where, locator)


def _entry(row: dict[str, Any], where: str, locator: NameLocator) -> Clip | Fault:
    named, text, name = text_of(row, "audio_filepath"), text_of(row, *TEXT_NAMES), text_of(row, "id")
    speaker = text_of(row, *SPEAKER_NAMES) or _number(row.get("speaker"))
    span = span_of(row)
    if isinstance(span, str):
        finding = Finding(rule="malformed-line", reason=f"the row {span}")
        return Fault(where=where, finding=finding, source=named, text=text, speaker=speaker, name=name)
    found = locator.find(named)
    if isinstance(found, Finding):
        return Fault(where=where, finding=found, source=named, text=text, speaker=speaker, name=name)
    known = _KNOWN | {*TEXT_NAMES, *SPEAKER_NAMES, *SPOKEN_NAMES}
    return Clip(
        where=where,
        path=found,
        source=locator.relative(found),
        text=text,
        spoken=text_of(row, *SPOKEN_NAMES),
        speaker=speaker,
        start=span[0],
        end=span[1],
        name=name,
        tags={
            "origin" if key == "source" else key: value
            for key, value in row.items()
            if key not in known and isinstance(value, str)
        },
    )


def _number(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
