"""Speech that is no speech: the level of each 20 ms tells the letter, and a recognizer reads it exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amtts_core.contract.recognizer import Emissions, Transcript

RATE = 16_000
FRAME = 320
LETTERS = "ሀለመሰረበተነአከወዘየደገጠቀጸፈ"
"""The letters it knows; their numbers count from 1, 0 is the blank."""
FRAMES_PER_LETTER = 6


def coded(text: str, *, pause: int = 10) -> np.ndarray:
    """Six frames a letter (the last one blank), `pause` blank frames for a space, (T,) float32."""
    levels: list[float] = []
    for character in text:
        number = LETTERS.find(character) + 1
        if number:
            levels += [number / 100] * (FRAMES_PER_LETTER - 1) + [0.0]
        elif character == " ":
            levels += [0.0] * pause
    return np.repeat(np.array(levels, dtype=np.float32), FRAME)


class CodedRecognizer:
    """A `FrameRecognizer` of coded speech."""

    name = "coded"
    identity = "coded:1"
    sample_rate = RATE

    def emissions(self, waveforms: Sequence[np.ndarray]) -> list[Emissions]:
        """Sure of every frame."""
        out = []
        for wave in waveforms:
            whole = wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME)
            numbers = np.rint(np.median(whole, axis=1) * 100).astype(int).clip(0, len(LETTERS))
            log_probs = np.full((len(numbers), len(LETTERS) + 1), np.log(0.001), dtype=np.float32)
            log_probs[np.arange(len(numbers)), numbers] = np.log(0.98)
            out.append(Emissions(log_probs=log_probs, frame_seconds=FRAME / RATE, blank=0))
        return out

    def best_path(self, emissions: Emissions) -> list[int]:
        """The most probable of each frame."""
        return [int(n) for n in emissions.log_probs.argmax(1)]

    def symbol_ids(self, word: str) -> list[int]:
        """One a letter."""
        return [LETTERS.index(c) + 1 for c in word if c in LETTERS]

    def text_of(self, symbols: Sequence[int]) -> str:
        """The letters."""
        return "".join(LETTERS[n - 1] for n in symbols)

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        """Letters without spaces."""
        out = []
        for emissions in self.emissions(waveforms):
            path = self.best_path(emissions)
            said = [n for place, n in enumerate(path) if n and (not place or n != path[place - 1])]
            out.append(Transcript(text=self.text_of(said), confidence=0.98))
        return out
