"""Figures of a row that stand beside those of other programs: pitch shift, length, real-time factor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from tiny_voice import tiny_voice

from amtts_core.audio.io import read_audio
from amtts_core.evaluation.items import TestItem
from amtts_core.evaluation.measures import Measures, Row
from amtts_core.evaluation.settings import EvaluationSettings
from amtts_core.evaluation.systems import CheckpointSystem, Spoken

AUDIO = Path(__file__).parents[3] / "examples" / "corpus" / "audio"
TEXT = "እናቴ ዛሬ ጠዋት ከገበያ ቲማቲምና ሽንኩርት ገዛች።"
"""Of 001.ogg."""


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return read_audio(AUDIO / "001.ogg", sample_rate=16_000)


def measured(spoken: np.ndarray, recording: np.ndarray, cache: Path, *metrics: str, took: float = 1.0) -> Row:
    item = TestItem(id="a", text=TEXT, reference=TEXT)
    measures = Measures(EvaluationSettings(metrics=metrics), cache)
    try:
        batch = [Spoken(item=item, waveform=spoken, rate=16_000, path=AUDIO / "001.ogg", took=took)]
        return measures.rows(batch, {"a": recording}, system="voice")[0]
    finally:
        measures.close()


@pytest.mark.parametrize(
    ("rate", "praat_shift", "praat_length"), [(14_000, 2.319, 0.8752), (18_000, 2.058, 1.1229)]
)
def test_pitch_shift_and_length_are_those_of_praat(
    wave: np.ndarray, tmp_path: Path, rate: int, praat_shift: float, praat_length: float
) -> None:
    """parselmouth 0.4.7: medians of `to_pitch_ac(0.016, 50, 600)`; from the first to the last sounding interval of
    `To TextGrid (silences): 100, 0, -30, 0.1, 0.05`, for the sentence and for the same at another speed."""
    pytest.importorskip("swift_f0", reason="the extra amtts[evaluate] is not installed")
    other = soxr.resample(wave, 16_000, rate).astype(np.float32)
    by_words = measured(other, wave, tmp_path / "a.sqlite", "prosody", "alignment", "signal").figures
    assert by_words["pitch_shift"] == pytest.approx(praat_shift, abs=0.1)
    assert by_words["duration_ratio"] == pytest.approx(praat_length, rel=0.02)
    by_level = measured(other, wave, tmp_path / "b.sqlite", "signal").figures
    assert by_level["duration_ratio"] == pytest.approx(praat_length, rel=0.02)


def test_silence_around_the_words_does_not_count_as_length(wave: np.ndarray, tmp_path: Path) -> None:
    padded = np.pad(wave, (16_000, 8_000))
    for number, metrics in enumerate((("alignment", "signal"), ("signal",))):
        found = measured(padded, wave, tmp_path / f"{number}.sqlite", *metrics).figures
        assert found["duration_ratio"] == pytest.approx(1.0, abs=0.02)


def test_the_real_time_factor_is_seconds_taken_over_seconds_of_sound(
    wave: np.ndarray, tmp_path: Path
) -> None:
    """soundfile tells 4.674 s for 001.ogg."""
    found = measured(wave, wave, tmp_path / "a.sqlite", "signal", took=2.337).figures
    assert found["real_time_factor"] == pytest.approx(0.5, abs=0.001)


def test_what_a_voice_takes_is_what_a_clock_outside_tells(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_voice(tmp_path_factory.mktemp("voice"))[1]
    system = CheckpointSystem(run, tmp_path / "speech", name="voice")
    speak = system.synthesizer.speak

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(0.5)
        return speak(*given, **named)

    monkeypatch.setattr(system.synthesizer, "speak", slow)
    item = TestItem(id="a", text="ሰላም።", reference="ሰላም።")
    began = time.monotonic()
    (spoken,) = system.spoken([item])
    outside = time.monotonic() - began
    assert spoken.took is not None
    assert 0.5 <= spoken.took <= outside
    (again,) = system.spoken([item])
    assert again.took == spoken.took, "speech that is there already keeps the time that it took"
