"""Stretched speech: its length, its pitch, its loudness."""

from __future__ import annotations

import numpy as np
import pytest

from amtts_core.audio.stretch import stretch

RATE = 24000


def tone(seconds: float, hertz: float = 180.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hertz * time) + 0.1 * np.sin(4 * np.pi * hertz * time)).astype(
        np.float32
    )


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.0, 1.3, 2.0])
def test_the_length_changes_and_the_pitch_does_not(speed: float) -> None:
    out = stretch(tone(1.0), RATE, speed=speed)
    assert out.dtype == np.float32
    assert len(out) == round(RATE / speed)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert np.argmax(spectrum) * RATE / len(out) == pytest.approx(180, abs=3)
    middle = out[len(out) // 4 : -len(out) // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(np.sqrt(0.5 * (0.3**2 + 0.1**2)), rel=0.05)
    assert np.abs(out).max() < 0.45


def test_sounds_stay_in_order() -> None:
    out = stretch(np.concatenate([tone(0.5), np.zeros(RATE // 2, np.float32), tone(0.5)]), RATE, speed=1.5)
    third = len(out) // 3
    levels = [
        float(np.abs(out[n * third + third // 4 : (n + 1) * third - third // 4]).max()) for n in range(3)
    ]
    assert levels[1] < 0.02 < 0.2 < min(levels[0], levels[2])


@pytest.mark.parametrize("samples", [0, 1, 700, 1400, 1500])
def test_next_to_nothing_is_no_crash(samples: int) -> None:
    for speed in (0.5, 2.0):
        assert np.isfinite(stretch(tone(1.0)[:samples], RATE, speed=speed)).all()
