"""Times in tables: seconds, milliseconds, samples or a clock, and which of them a column holds."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from amtts_core.units import Hertz, Seconds

_CLOCK = re.compile(r"^(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)$")
_NUMBER = re.compile(r"^([+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*(ms|msec|s|sec|seconds)?$")
_SLACK: Seconds = 1.0  # a time may lie so far behind the end of the file
_FAR = 20.0  # times the length that a row says: a unit that is further off is another one
_COUNTED = 1000  # whole numbers from here on count milliseconds or samples
_CUT_SLACK: Seconds = 0.1
_UNITS = {"s": 1.0, "ms": 0.001}


@dataclass(frozen=True)
class Scale:
    """What the numbers of a column mean.

    Attributes:
        factor: from a number to seconds.
        unit: for people.
    """

    factor: float = 1.0
    unit: str = "s"


def read_time(written: object, scale: Scale) -> Seconds | None | str:
    """Seconds; None for an empty cell; or what is wrong with it."""
    if written is None or isinstance(written, bool):
        return None if written is None else f"has a time that is no number: {written!r}"
    if isinstance(written, (int, float)):
        return _checked(float(written) * scale.factor, written)
    text = str(written).strip()
    if not text or text.casefold() in ("none", "null", "nan", "-1"):
        return None
    if clock := _CLOCK.match(text):
        hours, minutes, seconds = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    if number := _NUMBER.match(text):
        value = float(number[1].replace(",", "."))
        unit = number[2]
        factor = scale.factor if unit is None else _UNITS["ms" if unit.startswith("ms") else "s"]
        return _checked(value * factor, text)
    return f"has a time that is no number: {text[:40]!r}"


def _checked(value: float, written: object) -> Seconds | str:
    if not math.isfinite(value) or value < 0:
        return f"has the time {written}, expected 0 or more"
    return round(value, 6)


def is_number(cell: str) -> bool:
    """True for a cell that may be a time or another number."""
    return bool(_NUMBER.match(cell.strip()))


def is_time(cell: str) -> bool:
    """True for a number, or a time as a clock shows it."""
    return is_number(cell) or bool(_CLOCK.match(cell.strip()))


def find_scale(unit: str, numbers: Sequence[tuple[float, Seconds | None, Hertz | None]]) -> Scale | None:
    """What the numbers of times mean, None where that cannot be told.

    Args:
        unit: that the columns' names carry: "s", "ms", "samples" or none.
        numbers: times, with the length and the sample rate of their file where these are known.
    """
    rate = next((rate for _, _, rate in numbers if rate), None)
    known = {"s": Scale(), "ms": Scale(0.001, "ms")}
    if rate:
        known["samples"] = Scale(1 / rate, "samples")
    if unit:
        return known.get(unit)
    measured = [(number, length) for number, length, _ in numbers if length]
    if not measured:
        return Scale() if max((number for number, _, _ in numbers), default=0.0) < 10_000 else None
    for scale in known.values():
        fits = sum(number * scale.factor <= length + _SLACK for number, length in measured)
        if fits >= 0.8 * len(measured):
            return scale
    return None


def find_length_scale(
    unit: str, numbers: Sequence[tuple[float, Seconds | None, Hertz | None]]
) -> Scale | None:
    """What the numbers of lengths mean; None where they are no lengths of the recordings.

    Args:
        unit: that the column's name carries: "s", "ms", "samples" or none.
        numbers: lengths, with the length and the sample rate of the file where these are known.
    """
    rate = next((rate for _, _, rate in numbers if rate), None)
    known = {"s": Scale(), "ms": Scale(0.001, "ms")}
    if rate:
        known["samples"] = Scale(1 / rate, "samples")
    pairs = [(number, length) for number, length, _ in numbers if length and number > 0]
    ratios = [length / number for number, length in pairs]
    if not ratios or (len(pairs) > 2 and len({number for number, _ in pairs}) == 1):
        return None

    def far(scale: Scale) -> float:
        return abs(math.log(statistics.median(ratios) / scale.factor))

    counted = all(number >= _COUNTED and number.is_integer() for number, _ in pairs)
    if counted and not unit and max(ratios) < 1.1 * min(ratios):  # samples at whatever rate
        return Scale(statistics.median(ratios), "samples")
    nearest = min([known[unit]] if unit in known else known.values(), key=far)
    return nearest if far(nearest) < math.log(_FAR) else None


def is_cut_out(start: Seconds, end: Seconds, length: Seconds) -> bool:
    """True where a stretch is as long as the whole recording, and so can only be a stretch of another one."""
    return start > _CUT_SLACK and abs(end - start - length) <= max(_CUT_SLACK, 0.03 * length)


def span_of(
    start: Seconds | None | str, end: Seconds | None | str, duration: Seconds | None | str
) -> tuple[Seconds, Seconds | None] | str:
    """Start and end of a clip in its file, or what is wrong with them; a duration alone says nothing of the place."""
    for value in (start, end, duration):
        if isinstance(value, str):
            return value
    assert not isinstance(start, str)
    assert not isinstance(end, str)
    assert not isinstance(duration, str)
    if end is None and start is not None and duration is not None:
        if duration == 0:
            return "has a duration of 0 seconds"
        end = round(start + duration, 6)
    if end is not None and end <= (start or 0.0):
        return f"ends at {end:g} s but starts at {start or 0.0:g} s"
    return start or 0.0, end
