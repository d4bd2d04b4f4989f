"""Captions spoken into their times: each begins with its caption; speech that is too long is spoken faster, up to a
limit, and what still runs over is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from amtts_core.synthesis.batch.rows import Row
from amtts_core.units import Hertz, Seconds

FASTEST = 1.5
"""Pace, times the one asked for, up to which a caption is hurried."""
GAP: Seconds = 0.05


@dataclass
class Timed:
    """Speech on the captions' clock.

    Attributes:
        waveform: (T,) float32.
        rows: a report of each caption: begin, end, and `pace` where it was hurried, `late` and `over` in seconds.
    """

    waveform: np.ndarray
    rows: list[dict[str, object]] = field(default_factory=list)


def speak_captions(
    captions: Sequence[Row], speak: Callable[[Row, float], np.ndarray], sample_rate: Hertz
) -> Timed:
    """Speaks captions at their times.

    Args:
        captions: with times; spoken in the order of their start.
        speak: a caption and its pace, times the one asked for -> (T,) float32.
        sample_rate: Hz.
    """
    ordered = sorted(captions, key=lambda row: row.start or 0.0)
    parts: list[np.ndarray] = []
    rows: list[dict[str, object]] = []
    length = 0
    for number, row in enumerate(ordered):
        start, end = row.start or 0.0, row.end or 0.0
        following = ordered[number + 1].start if number + 1 < len(ordered) else None
        limit = end if following is None else max(end, (following or 0.0) - GAP)
        begins = max(start, length / sample_rate)
        wave, pace = speak(row, 1.0), 1.0
        room = max(limit - begins, 0.1)
        if len(wave) / sample_rate > room:
            pace = min(FASTEST, len(wave) / sample_rate / room)
            wave = speak(row, pace)
        at = max(round(begins * sample_rate), length)
        parts += [np.zeros(at - length, dtype=np.float32), wave.astype(np.float32)]
        length = at + len(wave)
        report: dict[str, object] = {"id": row.id, "text": row.text, "start": round(at / sample_rate, 3)}
        report["end"] = round(length / sample_rate, 3)
        if pace > 1:
            report["pace"] = round(pace, 2)
        if begins > start + 0.01:
            report["late"] = round(begins - start, 2)
        if length / sample_rate > limit + 0.01:
            report["over"] = round(length / sample_rate - limit, 2)
        rows.append(report)
    return Timed(np.concatenate(parts) if parts else np.zeros(0, np.float32), rows)
