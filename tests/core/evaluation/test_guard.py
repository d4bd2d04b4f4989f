"""Guarded speaking: when a sentence is spoken again, which try is kept, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from amtts_core.contract.recognizer import Transcript
from amtts_core.evaluation.guard import ANOTHER_SEED, GuardSettings, speak_guarded
from amtts_core.synthesis.engine import Speech
from amtts_core.synthesis.stitch import Stretch

RATE = 16_000


class Voice:
    """Says what `takes` tell for each seed; the waveform carries the number of the take."""

    sample_rate = RATE

    def __init__(self, takes: dict[str, list[str]]) -> None:
        self.takes = takes
        self.spoken: list[tuple[str, int]] = []

    def readable_stretches(self, text: str) -> tuple[list[Stretch], Counter[str]]:
        return [Stretch(part, 0.3) for part in text.split("|")], Counter({"λ": 1})

    def speak(self, text: str, *, seed: int = 0, **_: Any) -> Speech:
        self.spoken.append((text, seed))
        takes = self.takes[text]
        number = seed // ANOTHER_SEED % len(takes)
        code = list(self.takes).index(text) * 10 + number
        return Speech(np.full(RATE // 10, code / 100, np.float32), RATE, [Stretch(text, 0.3)])


class Reader:
    """Reads a waveform of `Voice`."""

    name = identity = "reader"
    sample_rate = RATE

    def __init__(self, voice: Voice) -> None:
        self.voice = voice

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        codes = [round(float(wave[0]) * 100) for wave in waveforms]
        texts = list(self.voice.takes)
        return [Transcript(text=self.voice.takes[texts[code // 10]][code % 10]) for code in codes]


def guarded(takes: dict[str, list[str]], **settings: Any):  # type: ignore[no-untyped-def]
    voice = Voice(takes)
    found = speak_guarded(voice, "|".join(takes), Reader(voice), settings=GuardSettings(**settings))  # type: ignore[arg-type]
    return voice, found


def test_a_sentence_that_is_read_right_is_spoken_once() -> None:
    voice, found = guarded({"ሰላም ለዓለም": ["ሰላም ለዓለም"], "ቤት": ["ቤት"]})
    assert voice.spoken == [("ሰላም ለዓለም", 0), ("ቤት", 0)]
    assert not found.doubtful
    assert found.speech.unread == Counter({"λ": 1})
    pause = round(0.3 * RATE)
    assert len(found.speech.waveform) == 2 * (RATE // 10) + pause


def test_another_seed_is_tried_until_it_is_read_right() -> None:
    voice, found = guarded({"ሰላም ለዓለም": ["ሰላም", "ለም", "ሰላም ለዓለም", "ለም"]})
    assert [seed for _, seed in voice.spoken] == [0, ANOTHER_SEED, 2 * ANOTHER_SEED]
    (sentence,) = found.sentences
    assert (sentence.tries, sentence.seed, sentence.cer, sentence.problem) == (3, 2 * ANOTHER_SEED, 0.0, "")
    assert found.speech.waveform[RATE // 20] == pytest.approx(0.02)


def test_the_best_try_is_kept_and_told_as_doubtful() -> None:
    _, found = guarded({"ሰላም ለዓለም": ["ሰ", "ሰላም ለዓ", "ሰላም"]}, tries=3)
    (sentence,) = found.doubtful
    assert sentence.hypothesis == "ሰላም ለዓ"
    assert sentence.tries == 3
    assert "recognized otherwise" in sentence.problem


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ("ሰላም ለዓለም በለበለበለ", "goes on after the text"),
        ("ሰላም", "ends early"),
    ],
)
def test_running_on_and_stopping_early_have_their_own_words(heard: str, told: str) -> None:
    _, found = guarded({"ሰላም ለዓለም": [heard]}, max_cer=5.0)
    assert told in found.doubtful[0].problem


def test_a_voice_without_sampling_is_asked_twice_only() -> None:
    voice, found = guarded({"ሰላም ለዓለም": ["ሰላ"]}, tries=10)
    assert len(voice.spoken) == 2
    assert found.doubtful[0].tries == 2
