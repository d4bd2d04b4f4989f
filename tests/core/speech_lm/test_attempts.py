"""Further attempts: what is faulty is tried with other seeds, the best stands, and the log says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from amtts_core.speech_lm.best_of import SEED_STRIDE, best_of
from amtts_core.speech_lm.guards import Attempt, longest_silence
from amtts_core.speech_lm.streams import Decoded

RATE = 16000


@dataclass(frozen=True)
class Try:
    """An attempt that is as bad as it says."""

    value: float
    item: int = 0

    @property
    def fault(self) -> str:
        return "bad" if self.value else ""

    @property
    def badness(self) -> tuple[float, float]:
        return self.value, 0.0


def tried(values: Sequence[Sequence[float]], retries: int) -> tuple[list[Try], list[tuple[list[int], int]]]:
    """`values[item][attempt]`."""
    calls: list[tuple[list[int], int]] = []

    def attempt(numbers: Sequence[int], added: int) -> list[Try]:
        calls.append((list(numbers), added))
        return [Try(values[number][len(calls) - 1], number) for number in numbers]

    return best_of(attempt, [f"item {n}" for n in range(len(values))], retries=retries), calls


def test_only_what_is_faulty_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    found, calls = tried([[0, 9, 9], [3, 0, 9], [3, 2, 4]], retries=2)
    assert [one.value for one in found] == [0, 0, 2]
    assert calls == [([0, 1, 2], 0), ([1, 2], SEED_STRIDE), ([2], 2 * SEED_STRIDE)]
    assert [record.message for record in caplog.records] == ["item 1: succeeded on attempt 2", "item 2: bad"]


def test_the_first_of_equal_attempts_stands() -> None:
    assert tried([[1, 1]], retries=1)[0] == [Try(1)]
    assert tried([[1, 0]], retries=0)[0] == [Try(1)]


def tone(seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(np.arange(round(seconds * RATE)) * 0.2)).astype(np.float32)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([tone(1.0)], 0.0),
        ([tone(0.5), tone(0.4, 0), tone(0.5)], 0.4),
        ([tone(0.5), tone(2.0, 1e-4), tone(0.5)], 2.0),  # 60 dB below
        ([tone(0.5), tone(0.3, 0), tone(0.5), tone(1.5, 0)], 1.5),
        ([tone(0.5, 0.03), tone(2.0, 0.01), tone(0.5, 0.03)], 0.0),  # soft, not silent
    ],
)
def test_the_longest_silence_is_measured(parts: list[np.ndarray], expected: float) -> None:
    assert longest_silence(np.concatenate(parts), RATE) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("wave", [np.zeros(0, np.float32), tone(0.3, 0), tone(3.0, 1e-4)])
def test_no_sound_at_all_is_infinite_silence(wave: np.ndarray) -> None:
    assert longest_silence(wave, RATE) == float("inf")


def test_an_end_counts_before_silence_and_missing_frames_before_both() -> None:
    codes, whole, silent = (
        torch.zeros(5, 1, dtype=torch.int64),
        tone(1.0),
        np.concatenate([tone(0.5), tone(2.0, 0)]),
    )
    attempts = [
        Attempt(Decoded(codes, ended=ended), w, RATE) for ended in (True, False) for w in (whole, silent)
    ]
    attempts.append(Attempt(Decoded(codes, ended=True), whole, RATE, shortest=7))
    assert [attempt.fault for attempt in attempts] == [
        "",
        "silent for 2.0 s",
        "no end-of-speech token, truncated at 5 frames",
        "no end-of-speech token, truncated at 5 frames",
        "ended after 5 frames, expected at least 7",
    ]
    assert sorted(attempts, key=lambda attempt: attempt.badness) == attempts
