"""What the times and lengths of a table say, measured against some of its recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import soundfile

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.sound import ForeignSound, opened
from amtts_core.corpus.importers.column_names import unit_in_name
from amtts_core.corpus.importers.column_roles import Columns
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.times import Scale, find_length_scale, is_cut_out, read_time, span_of
from amtts_core.units import Hertz, Seconds

MEASURED = 12
"""Recordings whose length is looked at to tell what times mean."""
_ORIGIN = "of the recording that it was cut from"


def measured(locator: AudioLocator, name: str) -> tuple[Seconds | None, Hertz | None]:
    """Length and sample rate of a recording, None where they are not known without decoding."""
    found = locator.find(name)
    if not isinstance(found, Path):
        return None, None
    try:
        with opened(found) as sound:
            return (sound.total / sound.rate if sound.total else None), sound.rate
    except (AudioError, ForeignSound, soundfile.SoundFileError, OSError):
        return None, None


def length_scale(columns: Columns, rows: Sequence[Sequence[object]], locator: AudioLocator) -> Scale | None:
    """The unit of a column with the lengths of whole recordings; None where there is no such column."""
    roles = columns.roles
    if "duration" not in roles or "start" in roles or "end" in roles:
        return None
    column = roles["duration"]
    numbers = [
        (length, *measured(locator, str(row[roles["audio"]])))
        for row in rows[:MEASURED]
        if isinstance(length := read_time(row[column], Scale()), float)
    ]
    return find_length_scale(_unit(columns, column), numbers)


def without_origin(columns: Columns, rows: Sequence[Sequence[object]], locator: AudioLocator) -> Columns:
    """The columns without times that lie in another recording than the row's, which was cut out there.

    Lists of ready clips often keep such times: each recording is as long as its stretch, and begins at 0.
    """
    roles = dict(columns.roles)
    if "start" not in roles or not {"end", "duration"} & set(roles):
        return columns
    cut = whole = 0
    for row in rows[:MEASURED]:
        length, rate = measured(locator, str(row[roles["audio"]]))
        if length is None:
            continue
        fits = [_is_cut_out(roles, row, length, scale) for scale in _scales(rate)]
        cut += any(fit is True for fit in fits)
        whole += all(fit is False for fit in fits)
    if cut < 2 or whole > 0.2 * cut:
        return columns
    notes = dict(columns.notes) | {roles[role]: _ORIGIN for role in ("start", "end") if role in roles}
    return replace(columns, roles={r: c for r, c in roles.items() if r not in ("start", "end")}, notes=notes)


def _scales(rate: Hertz | None) -> list[Scale]:
    return [Scale(), Scale(0.001, "ms"), *([Scale(1 / rate, "samples")] if rate else [])]


def _is_cut_out(
    roles: Mapping[str, int], row: Sequence[object], length: Seconds, scale: Scale
) -> bool | None:
    """Whether a row's stretch is one of another recording; None where it begins at 0, which tells nothing."""
    times = [
        read_time(row[roles[role]] if role in roles else None, scale) for role in ("start", "end", "duration")
    ]
    span = span_of(*times)
    if isinstance(span, str) or span[1] is None:
        return False
    return None if span[0] == 0.0 else is_cut_out(span[0], span[1], length)


def _unit(columns: Columns, column: int) -> str:
    return unit_in_name(columns.names[column]) if column < len(columns.names) else ""
