"""Signs that speech went wrong: it did not end by itself, ended too early, or fell silent for long.

A sentence is spoken in one go here and pauses between sentences are added later, so a second of silence inside one is
a fault. Levels are of the waveform, so this holds for any codec.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from amtts_core.audio.trim import FRAME, frame_levels, stretches
from amtts_core.speech_lm.streams import Decoded
from amtts_core.units import Decibels, Hertz, Seconds

LONGEST_PAUSE: Seconds = 1.2
BELOW: Decibels = 40.0
"""Under the loud parts of the utterance, what is quieter counts as silence, ..."""
FLOOR: Decibels = -60.0
"""... and under this in any case."""
UNENDED = 0.5
"""Badness of speech that did not end, in missing frames."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a sentence.

    Attributes:
        decoded: its codes.
        waveform: (samples,) float32.
        rate: of the waveform.
        shortest: frames under which the speech is implausible.
    """

    decoded: Decoded
    waveform: np.ndarray
    rate: Hertz
    shortest: int = 0

    @cached_property
    def silence(self) -> Seconds:
        """The longest stretch without sound; infinite where there is none at all."""
        return longest_silence(self.waveform, self.rate)

    @property
    def fault(self) -> str:
        """What is wrong with it, empty where nothing is."""
        frames = len(self.decoded.codes)
        if not self.decoded.ended:
            return f"no end-of-speech token, truncated at {frames} frames"
        if frames < self.shortest:
            return f"ended after {frames} frames, expected at least {self.shortest}"
        if self.silence == float("inf"):
            return "silent from beginning to end"
        return f"silent for {self.silence:.1f} s" if self.silence > LONGEST_PAUSE else ""

    @property
    def badness(self) -> tuple[float, Seconds]:
        """Smaller is better: first by missing frames, then by the silence beyond the longest pause."""
        missing = max(0.0, self.shortest - len(self.decoded.codes), 0.0 if self.decoded.ended else UNENDED)
        return missing, max(0.0, self.silence - LONGEST_PAUSE)


def longest_silence(waveform: np.ndarray, rate: Hertz) -> Seconds:
    """The longest stretch of a waveform (samples,) without sound; infinite where there is none at all."""
    levels = frame_levels(waveform, rate)
    if not len(levels):
        return float("inf")
    quiet = levels < max(float(np.percentile(levels, 95)) - BELOW, FLOOR)
    if quiet.all():
        return float("inf")
    return float(np.diff(stretches(quiet)).max(initial=0)) * FRAME


class StreamRecorder:
    """Keeps what a stream hands out piece by piece, so that it can be judged when it is over."""

    def __init__(self) -> None:
        self._ended = False
        self._codes: list[Tensor] = []
        self._waveform: list[np.ndarray] = []

    def codes(self, pieces: Generator[Tensor, None, bool]) -> Iterator[Tensor]:
        """Hands codes (T, K) of `generate_stream` on."""
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                self._ended = bool(end.value)
                return
            self._codes.append(piece)
            yield piece

    def waveform(self, pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Hands samples on."""
        for piece in pieces:
            self._waveform.append(piece)
            yield piece

    def attempt(self, rate: Hertz, *, shortest: int = 0) -> Attempt:
        """What was handed out."""
        codes = torch.cat(self._codes) if self._codes else torch.zeros(0, 1, dtype=torch.int64)
        waveform = np.concatenate(self._waveform) if self._waveform else np.zeros(0, np.float32)
        return Attempt(Decoded(codes, ended=self._ended), waveform, rate, shortest)
