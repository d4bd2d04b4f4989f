"""Long text in short stretches: where to cut, how long to pause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from amtts_core.units import Seconds

SENTENCE_PAUSE: Seconds = 0.35
CLAUSE_PAUSE: Seconds = 0.2
PARAGRAPH_PAUSE: Seconds = 0.7
FADE: Seconds = 0.005
CLAUSE_ENDS = ("፤", "፣", "፦")


@dataclass(frozen=True)
class Stretch:
    """A piece of normalised text that is spoken in one go, and the silence after it."""

    text: str
    pause: Seconds


def cut_long(sentence: str, *, longest: int) -> list[str]:
    """Cuts a normalised sentence of more than `longest` characters, best at ፤, then ፣, then between words."""
    pieces = [sentence]
    for mark in (*CLAUSE_ENDS, " "):
        pieces = [part for piece in pieces for part in (_cut_at(piece, mark, longest))]
    return pieces


def _cut_at(text: str, mark: str, longest: int) -> list[str]:
    if len(text) <= longest or mark not in text:
        return [text]
    out, current = [], ""
    units = text.split(mark)
    for number, unit in enumerate(units):
        piece = unit + (mark if number < len(units) - 1 else "")
        if current and len(current) + len(piece) > longest:
            out.append(current.strip())
            current = ""
        current += piece
    return [piece for piece in [*out, current.strip()] if piece]


def join(waveforms: list[np.ndarray], pauses: list[Seconds], sample_rate: int) -> np.ndarray:
    """Waveforms (T,) with `pauses[i]` seconds of silence after waveform i, except after the last.

    Each edge fades over `FADE`, so that joints do not click.
    """
    parts: list[np.ndarray] = []
    for number, waveform in enumerate(waveforms):
        parts.append(_faded(waveform, sample_rate))
        if number < len(waveforms) - 1:
            parts.append(np.zeros(round(pauses[number] * sample_rate), dtype=np.float32))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def places_of(lengths: list[int], pauses: list[Seconds], sample_rate: int) -> list[tuple[int, int]]:
    """First sample, and one after the last, of each waveform in what `join` makes of waveforms of these lengths."""
    places, start = [], 0
    for length, pause in zip(lengths, pauses, strict=True):
        places.append((start, start + length))
        start += length + round(pause * sample_rate)
    return places


def faded_stream(pieces: Iterable[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    """The pieces (T,) of one waveform with the fades that `join` gives it, as they come."""
    length = round(FADE * sample_rate)
    held, begun = np.zeros(0, dtype=np.float32), False
    for piece in pieces:
        held = np.concatenate([held, piece.astype(np.float32)])
        if len(held) > 2 * length:  # the end is not here: more than both fades is
            if not begun:
                held[:length] *= np.linspace(0, 1, length, dtype=np.float32)
                begun = True
            yield held[: len(held) - length]
            held = held[len(held) - length :]
    if begun:
        held[-length:] *= np.linspace(1, 0, length, dtype=np.float32)
        yield held
    elif len(held):
        yield _faded(held, sample_rate)


def _faded(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    length = min(round(FADE * sample_rate), len(waveform) // 2)
    out = waveform.astype(np.float32, copy=True)
    if length:
        ramp = np.linspace(0, 1, length, dtype=np.float32)
        out[:length] *= ramp
        out[-length:] *= ramp[::-1]
    return out
