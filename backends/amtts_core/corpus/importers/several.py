"""Several sources as one: each is read by its own importer, one after the other, named from the folder they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from amtts_core.corpus.importers.base import Importer, Reading, ReadOptions
from amtts_core.corpus.importers.chain import chain
from amtts_core.corpus.importers.pairing import recording_of
from amtts_core.errors import AmttsError


def read_sources(
    sources: Sequence[Path],
    choose: Callable[[Path], Importer],
    options: ReadOptions = ReadOptions(),
) -> tuple[str, list[Path], Reading]:
    """The importers' names, the sources that are left, and what they hold.

    Subtitles that are given beside their own recording are no source of their own.

    Args:
        sources: folders or files.
        choose: finds the importer of one.
        options: what a person says about them.

    Raises:
        AmttsError: one cannot be used, or is given twice, or holds another one.
    """
    chosen = _different(sources)
    importers = [choose(source) for source in chosen]
    readings = [importer.read(source, options) for importer, source in zip(importers, chosen, strict=True)]
    name = "+".join(dict.fromkeys(importer.name for importer in importers))
    if len(chosen) == 1:
        return name, chosen, readings[0]
    try:
        root = Path(os.path.commonpath([os.path.realpath(reading.root) for reading in readings]))
    except ValueError:
        raise AmttsError(
            "the sources lie on different drives", remedy="Prepare each, then `amtts merge`"
        ) from None
    if all(reading.nameless for reading in readings) and not options.speaker:
        readings = _named(readings, chosen)
    summary = "; ".join(
        f"{source}: {reading.summary}" for source, reading in zip(chosen, readings, strict=True)
    )
    return name, chosen, chain(readings, root, summary=summary)


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


def _named(readings: Sequence[Reading], sources: Sequence[Path]) -> list[Reading]:
    """Readings of folders whose tables name no speaker, with the folder's name as the speaker of each."""
    names = [source.name if source.is_dir() else source.parent.name for source in sources]
    if len(set(names)) < len(names):
        return list(readings)
    return [_spoken_by(name, reading) for reading, name in zip(readings, names, strict=True)]


def _spoken_by(name: str, reading: Reading) -> Reading:
    return replace(
        reading,
        entries=(replace(entry, speaker=name) for entry in reading.entries),
        summary=f"speaker {name} by the folder; {reading.summary}",
        nameless=False,
    )
