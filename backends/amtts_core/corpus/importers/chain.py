"""Several readings as one: one after the other, named from the folder that holds them all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from amtts_core.corpus.importers.base import Clip, Fault, Reading


def chain(readings: Sequence[Reading], root: Path, *, summary: str = "") -> Reading:
    """Reads all of them in order.

    Args:
        readings: at least one.
        root: folder that holds the roots of all; what they name is named from there.
        summary: of all in one line; empty joins theirs.
    """
    real = Path(os.path.realpath(root))
    if len(readings) == 1 and readings[0].root == real and not summary:
        return readings[0]
    totals = [reading.total for reading in readings if reading.total is not None]
    warnings: list[str] = []
    return Reading(
        real,
        _entries(readings, real, warnings),
        sum(totals) if len(totals) == len(readings) else None,
        summary or "; ".join(reading.summary for reading in readings),
        warnings,
        all(reading.nameless for reading in readings),
        *next(((one.table, one.columns) for one in readings if one.table is not None), (None, None)),
    )


def _entries(readings: Sequence[Reading], root: Path, warnings: list[str]) -> Iterator[Clip | Fault]:
    for reading in readings:
        below = os.path.relpath(os.path.realpath(reading.root), root)
        prefix = "" if below == "." else f"{Path(below).as_posix()}/"
        for entry in reading.entries:
            source = f"{prefix}{entry.source}" if entry.source else ""
            yield replace(entry, source=source, where=f"{prefix}{entry.where}") if prefix else entry
        warnings.extend(reading.warnings)
