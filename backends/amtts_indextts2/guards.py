"""What tells speech that went wrong from speech: it did not end by itself, or it fell silent for long.

A sentence is spoken in one go here and pauses between sentences are added later, so a second of silence inside one is
a fault. Levels are of the sound, so this holds for any codec.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from amtts_core.audio.trim import FRAME, frame_levels, stretches
from amtts_core.units import Decibels, Hertz, Seconds
from amtts_indextts2.streams import Decoded

LONGEST_PAUSE: Seconds = 1.2
BELOW: Decibels = 40.0
"""Under the loud parts of the utterance, what is quieter counts as silence, ..."""
FLOOR: Decibels = -60.0
"""... and under this in any case."""


@dataclass(frozen=True)
class Take:
    """One try at a sentence: its codes (T, K) as `Decoded`, and their sound (samples,) float32."""

    spoken: Decoded
    wave: np.ndarray
    rate: Hertz

    @cached_property
    def silence(self) -> Seconds:
        """The longest stretch without sound; endless where nothing at all is heard."""
        return longest_silence(self.wave, self.rate)

    @property
    def fault(self) -> str:
        """What is wrong with it, empty where nothing is."""
        if not self.spoken.ended:
            return f"ran on and was cut at {len(self.spoken.codes)} frames"
        silence = self.silence
        if silence == float("inf"):
            return "is silent from beginning to end"
        return f"falls silent for {silence:.1f} s" if silence > LONGEST_PAUSE else ""

    @property
    def badness(self) -> tuple[bool, Seconds]:
        """Smaller is better: one that ended before one that did not, then the shorter silence."""
        return not self.spoken.ended, max(0.0, self.silence - LONGEST_PAUSE)


def longest_silence(wave: np.ndarray, rate: Hertz) -> Seconds:
    """The longest stretch of a waveform (samples,) without sound; infinite where there is none at all."""
    levels = frame_levels(wave, rate)
    if not len(levels):
        return float("inf")
    quiet = levels < max(float(np.percentile(levels, 95)) - BELOW, FLOOR)
    if quiet.all():
        return float("inf")
    return float(np.diff(stretches(quiet)).max(initial=0)) * FRAME


class Heard:
    """Listens to a stream that is handed out piece by piece, so that it can be judged when it is over.

    Args:
        rate: of its sound.
    """

    def __init__(self, rate: Hertz) -> None:
        self._rate, self._ended = rate, False
        self._codes: list[Tensor] = []
        self._sound: list[np.ndarray] = []

    def codes(self, pieces: Generator[Tensor, None, bool]) -> Iterator[Tensor]:
        """Hands codes (T, K) of `decoding.stream` on."""
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                self._ended = bool(end.value)
                return
            self._codes.append(piece)
            yield piece

    def sound(self, pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Hands samples on."""
        for piece in pieces:
            self._sound.append(piece)
            yield piece

    def take(self) -> Take:
        """What was heard."""
        codes = torch.cat(self._codes) if self._codes else torch.zeros(0, 1, dtype=torch.int64)
        wave = np.concatenate(self._sound) if self._sound else np.zeros(0, np.float32)
        return Take(Decoded(codes, ended=self._ended), wave, self._rate)
