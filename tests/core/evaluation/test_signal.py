"""Figures of waveforms that were made to have them."""

import numpy as np
import pytest

from amtts_core.evaluation.signal import signal_figures

RATE = 16_000


def tone(seconds, level=0.3):
    return (level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds):
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def test_silence_at_the_ends_and_inside():
    wave = np.concatenate([silence(0.5), tone(1), silence(0.7), tone(0.4), silence(0.2)])
    found = signal_figures(wave, RATE)
    assert found["seconds"] == pytest.approx(2.8)
    assert found["leading_silence"] == pytest.approx(0.5, abs=0.011)
    assert found["trailing_silence"] == pytest.approx(0.2, abs=0.011)
    assert found["longest_silence"] == pytest.approx(0.7, abs=0.011)
    assert found["speech_seconds"] == pytest.approx(2.1, abs=0.021)


def test_clipping_is_counted_at_full_scale_and_turned_down():
    clean = signal_figures(tone(1), RATE)["clipped_share"]
    loud = np.clip(tone(1, level=3.0), -1, 1)
    assert clean == 0
    assert signal_figures(loud, RATE)["clipped_share"] > 0.5
    assert signal_figures(loud * 0.5, RATE)["clipped_share"] > 0.5


def test_loudness_and_peak_follow_the_gain():
    first, second = (signal_figures(tone(2, level), RATE) for level in (0.4, 0.1))
    assert first["loudness_lufs"] - second["loudness_lufs"] == pytest.approx(20 * np.log10(4), abs=0.01)
    assert first["peak_db"] == pytest.approx(20 * np.log10(0.4), abs=0.01)


@pytest.mark.parametrize("wave", [silence(1), silence(0)])
def test_nothing_to_hear(wave):
    found = signal_figures(wave, RATE)
    assert found["speech_seconds"] == 0
    assert "loudness_lufs" not in found
