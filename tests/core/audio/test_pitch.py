"""Pitch of waveforms: frequency, frames, octave errors."""

from __future__ import annotations

import numpy as np
import pytest

from amtts_core.audio.mel import MelConfig
from amtts_core.audio.pitch import pitch_of, without_octave_errors

MEL = MelConfig()


def buzz(hertz: float, seconds: float = 1.0) -> np.ndarray:
    """Twenty harmonics."""
    time = np.arange(round(seconds * MEL.sample_rate)) / MEL.sample_rate
    wave = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, 21))
    return (0.1 * np.asarray(wave)).astype(np.float32)


@pytest.mark.parametrize("hertz", [95.0, 140.0, 230.0])
def test_a_buzz_has_its_pitch_at_every_frame(hertz: float) -> None:
    pytest.importorskip("swift_f0")
    wave = buzz(hertz)
    found, confidence = pitch_of(wave, MEL, low=50, high=550)
    assert found.shape == confidence.shape == (len(wave) // MEL.hop,)
    inner = slice(8, -8)
    assert np.abs(12 * np.log2(found[inner] / hertz)).max() < 0.3
    assert confidence[inner].min() > 0.5


def test_octave_errors_are_undone_and_other_movement_stays() -> None:
    truth = 120 * 2 ** (np.sin(np.linspace(0, 4 * np.pi, 200)) * 0.4)  # up to 0.4 octaves from the middle
    wrong = truth.copy()
    wrong[20:30] *= 2  # the truth is above the middle there
    wrong[85:90] /= 2
    sure = np.ones(200)
    fixed = without_octave_errors(wrong, sure)
    np.testing.assert_allclose(fixed[20:30], truth[20:30])
    np.testing.assert_allclose(fixed, truth)
    np.testing.assert_allclose(without_octave_errors(truth, sure), truth)


def test_frames_that_are_not_voiced_do_not_move_the_median() -> None:
    hertz = np.r_[np.full(50, 120.0), np.full(150, 500.0)]
    confidence = np.r_[np.ones(50), np.zeros(150)]
    fixed = without_octave_errors(hertz, confidence)
    np.testing.assert_allclose(fixed[:50], 120.0)
    np.testing.assert_allclose(fixed[50:], 250.0)


def test_silence_stays_as_it_is() -> None:
    assert without_octave_errors(np.full(5, 100.0), np.zeros(5)).tolist() == [100.0] * 5
    assert without_octave_errors(np.zeros(0), np.zeros(0)).shape == (0,)
