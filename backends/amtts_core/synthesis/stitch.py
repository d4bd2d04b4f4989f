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
class Pauses:
    """Silence between what is spoken, at the voice's own pace."""

    sentence: Seconds = SENTENCE_PAUSE
    clause: Seconds = CLAUSE_PAUSE
    paragraph: Seconds = PARAGRAPH_PAUSE


@dataclass(frozen=True)
class Stretch:
    """A piece of normalized text that is spoken in one go, and the silence around it.

    Attributes:
        text: normalized.
        pause: silence after it, divided by the pace; the last stretch of a text has none, unless it is asked for.
        rate: of the pace asked for the whole text.
        asked: silence that the text asks for, exactly so long; in place of `pause`.
        before: silence before it that the text asks for.
    """

    text: str
    pause: Seconds
    rate: float = 1.0
    asked: Seconds | None = None
    before: Seconds = 0.0

    def silence(self, speed: float, *, last: bool = False) -> Seconds:
        """Seconds of silence after it when the text is spoken at `speed`."""
        if self.asked is not None:
            return self.asked
        return 0.0 if last else self.pause / speed


def cut_long(sentence: str, *, longest: int) -> list[str]:
    """Cuts a normalized sentence of more than `longest` characters, best at ፤, then ፣, then between words."""
    pieces = [sentence]
    for mark in (*CLAUSE_ENDS, " "):
        pieces = [part for piece in pieces for part in (_cut_at(piece, mark, longest))]
    return pieces


def cut_words(text: str, *, longest: int) -> list[str]:
    """Cuts as `cut_long`, and a word of more than `longest` characters inside it."""
    return [
        piece[start : start + longest]
        for piece in cut_long(text, longest=longest)
        for start in range(0, len(piece), longest)
    ]


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


def with_silence(
    stretch: Stretch, waveform: np.ndarray, sample_rate: int, *, speed: float, last: bool
) -> list[np.ndarray]:
    """Silence before a stretch, its waveform (T,) with faded edges, and silence after it."""
    before = np.zeros(round(stretch.before * sample_rate), dtype=np.float32)
    after = np.zeros(round(stretch.silence(speed, last=last) * sample_rate), dtype=np.float32)
    return [before, _faded(waveform, sample_rate), after]


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
