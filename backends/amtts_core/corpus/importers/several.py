"""Several sources as one: each is read by its own importer, one after the other, named from the folder they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from amtts_core.corpus.importers.base import Clip, Fault, Importer, Reading
from amtts_core.corpus.importers.subtitles import recording_of
from amtts_core.errors import AmttsError


def read_sources(
    sources: Sequence[Path], choose: Callable[[Path], Importer]
) -> tuple[str, list[Path], Reading]:
    """The importers' names, the sources that are left, and what they hold.

    Subtitles that are given beside their own recording are no source of their own.

    Args:
        sources: folders or files.
        choose: finds the importer of one.

    Raises:
        AmttsError: one cannot be used, or is given twice, or holds another one.
    """
    chosen = _different(sources)
    importers = [choose(source) for source in chosen]
    readings = [importer.read(source) for importer, source in zip(importers, chosen, strict=True)]
    name = "+".join(dict.fromkeys(importer.name for importer in importers))
    if len(chosen) == 1:
        return name, chosen, readings[0]
    try:
        root = Path(os.path.commonpath([os.path.realpath(reading.root) for reading in readings]))
    except ValueError:
        raise AmttsError(
            "the sources lie on different drives", remedy="Prepare each, then `amtts merge`"
        ) from None
    totals = [reading.total for reading in readings if reading.total is not None]
    warnings: list[str] = []
    return (
        name,
        chosen,
        Reading(
            root,
            _entries(readings, root, warnings),
            sum(totals) if len(totals) == len(readings) else None,
            "; ".join(
                f"{source}: {reading.summary}" for source, reading in zip(chosen, readings, strict=True)
            ),
            warnings,
        ),
    )


def _different(sources: Sequence[Path]) -> list[Path]:
    """The sources without subtitles whose recording is among them."""
    for source in sources:
        if not source.exists():
            raise AmttsError(f"{source} does not exist", remedy="Give folders, tables or recordings that do")
    real: dict[Path, Path] = {}
    for source in sources:
        path = Path(os.path.realpath(source))
        if path in real:
            raise AmttsError(f"{source} is given twice", remedy="Give each source once")
        real[path] = source
    for path, source in real.items():
        holder = next((real[parent] for parent in path.parents if parent in real), None)
        if holder is not None:
            raise AmttsError(f"{source} lies in {holder}, which is given too", remedy="Give one of them")
    if len(sources) == 1:
        return list(sources)
    out: list[Path] = []
    for path, source in real.items():
        recording = recording_of(path)
        if recording is None or recording == path or recording not in real:
            out.append(source)
    return out


def _entries(readings: Sequence[Reading], root: Path, warnings: list[str]) -> Iterator[Clip | Fault]:
    for reading in readings:
        below = os.path.relpath(os.path.realpath(reading.root), root)
        prefix = "" if below == "." else f"{Path(below).as_posix()}/"
        for entry in reading.entries:
            source = f"{prefix}{entry.source}" if entry.source else ""
            yield replace(entry, source=source, where=f"{prefix}{entry.where}") if prefix else entry
        warnings.extend(reading.warnings)
