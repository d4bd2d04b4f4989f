"""Made-up speech: a tone pair for each letter, so that text can be learned from sound and sound from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amtts_core.contract.backend import Backend
from amtts_core.contract.types import Example
from amtts_core.units import Hertz, Seconds

LETTERS = "ለመሰረበተነአከወደገ"
SECONDS_PER_LETTER: Seconds = 0.1


def made_up_text(random: np.random.Generator, letters: int) -> str:
    """Two made-up words of plain letters."""
    word = [
        chr(ord(LETTERS[random.integers(len(LETTERS))]) + int(random.integers(7))) for _ in range(letters)
    ]
    cut = letters // 2
    return "".join(word[:cut]) + " " + "".join(word[cut:]) + "።"


def made_up_speech(text: str, random: np.random.Generator, *, rate: Hertz) -> np.ndarray:
    """(T,) float32: a tone pair for each character."""
    parts = []
    for character in text:
        time = np.arange(round(SECONDS_PER_LETTER * rate)) / rate
        code = ord(character) - 0x1200
        low, high = 200 + 25 * (code % 8), 900 + 18 * (code // 8)
        loud = 0.02 if character in " ።" else 0.25
        tone = np.sin(2 * np.pi * low * time) + 0.6 * np.sin(2 * np.pi * high * time)
        parts.append(loud * tone * np.hanning(len(time)) ** 0.5)
    wave = np.concatenate(parts)
    return (wave + 0.002 * random.standard_normal(len(wave))).astype(np.float32)


def made_up_examples(
    backend: Backend, count: int, *, seed: int = 0, letters: Sequence[int] = ()
) -> list[Example]:
    """Utterances as the backend's `collate` receives them."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        text = made_up_text(random, letters[number] if letters else int(random.integers(5, 10)))
        wave = made_up_speech(text, random, rate=backend.sample_rate)
        tokenizer = backend.text_tokenizer
        found.append(
            Example(
                id=f"e{number}",
                tokens=tokenizer.encode(text) if tokenizer else [],
                features=dict(backend.features(wave).arrays),
            )
        )
    return found


@dataclass(frozen=True)
class ExampleList:
    """Examples as `TrainingExamples`."""

    examples: list[Example]

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, index: int) -> Example:
        """One of them."""
        return self.examples[index]

    def statistics(self) -> dict[str, np.ndarray]:
        """Mean and standard deviation of every feature."""
        found: dict[str, np.ndarray] = {}
        for name in self.examples[0].features:
            arrays = [example.features[name] for example in self.examples]
            rows = np.concatenate([array.reshape(len(array), -1) for array in arrays])
            found[f"{name}_mean"] = rows.mean(0).astype(np.float32)
            found[f"{name}_std"] = rows.std(0).clip(1e-4).astype(np.float32)
        return found
