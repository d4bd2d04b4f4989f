"""Guarded speaking: when a sentence is spoken again, which try is kept, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from amtts_core.contract.recognizer import Transcript
from amtts_core.contract.types import SynthesisRequest
from amtts_core.evaluation.guard import ANOTHER_SEED, GuardSettings, speak_guarded
from amtts_core.synthesis.engine import Speak, SpeechMaking
from amtts_core.synthesis.stitch import Stretch

RATE = 16_000


class Voice:
    """Says what `takes` tell for each seed; the waveform carries the number of the take."""

    sample_rate = RATE

    def __init__(self, takes: dict[str, list[str]]) -> None:
        self.takes = takes
        self.spoken: list[tuple[str, int]] = []

    @property
    def backend(self) -> Voice:
        return self

    def making(self, text: str, *, by: Speak, pauses: Sequence[Stretch] = ()) -> SpeechMaking:
        stretches = list(pauses) or [Stretch(part, 0.3) for part in text.split("|")]
        numbers = [list(self.takes).index(stretch.text) for stretch in stretches]
        requests = [SynthesisRequest(tokens=[number], notes=[]) for number in numbers]
        return SpeechMaking(self, stretches, requests, Counter({"λ": 1}), 1.0, by)  # type: ignore[arg-type]

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        made = []
        for request in requests:
            (place,) = request.tokens
            text = list(self.takes)[place]
            self.spoken.append((text, request.seed))
            number = request.seed // ANOTHER_SEED % len(self.takes[text])
            request.notes.append(f"try {number}")
            made.append(np.full(RATE // 10, (place * 10 + number) / 100, np.float32))
        return made


class Reader:
    """Reads a waveform of `Voice`."""

    name = identity = "reader"
    sample_rate = RATE

    def __init__(self, voice: Voice) -> None:
        self.voice = voice

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        assert all(len(wave) == RATE // 10 for wave in waveforms), "pauses are not read"
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


def test_pauses_that_a_text_asks_for_stay_and_the_kept_trys_notes_are_told() -> None:
    voice = Voice({"ሰላም": ["ሰ", "ሰላም"], "ቤት": ["ቤት"]})
    asked = [Stretch("ሰላም", 0.3, before=0.5, asked=1.5), Stretch("ቤት", 0.3)]
    found = speak_guarded(voice, "", Reader(voice), pauses=asked)  # type: ignore[arg-type]
    assert [sentence.tries for sentence in found.sentences] == [2, 1]
    first, second = found.speech.places
    assert first[0] == round(0.5 * RATE)
    assert second[0] - first[1] == round(1.5 * RATE)
    assert not found.speech.waveform[first[1] : second[0]].any()
    assert found.speech.notes == [("ሰላም", "try 1"), ("ቤት", "try 0")]
