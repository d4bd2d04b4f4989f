"""What is measured and changed in a waveform: DC and rumble, silence at the ends, clipping, loudness."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from recordings import speech

from amtts_core.audio.clipping import flat_share
from amtts_core.audio.loudness import loudness, to_loudness
from amtts_core.audio.rumble import remove_rumble
from amtts_core.audio.trim import find_speech, frame_levels

RATE = 16000


def found(samples: np.ndarray, rate: int = RATE, *, margin: float = 0.05) -> tuple[float, float]:
    part = find_speech(remove_rumble(samples, rate, 40), rate, below=40, margin=margin)
    return part.begin / rate, part.end / rate


@pytest.mark.parametrize("offset", [0.0, -0.125, 0.3])
def test_dc_does_not_hide_silence(offset: float):
    begin, end = found(speech(seconds=1.0, silence=0.8) + offset)
    assert begin == pytest.approx(0.75, abs=0.03)
    assert end == pytest.approx(1.85, abs=0.06)


def test_the_high_pass_starts_without_a_thump():
    out = remove_rumble(np.full(4000, -0.125, np.float32), RATE, 40)
    assert np.abs(out).max() < 1e-6
    assert len(remove_rumble(np.zeros(0, np.float32), RATE, 40)) == 0


def test_the_high_pass_takes_rumble_and_leaves_the_voice():
    time = np.arange(RATE) / RATE
    for frequency, left, off in ((8, 0.0, 0.05), (20, 0.25, 0.03), (40, 0.707, 0.02), (150, 1.0, 0.001)):
        tone = np.sin(2 * np.pi * frequency * time)
        inside = remove_rumble(tone, RATE, 40)[400:-400]  # the ends see the tone's mirror image
        assert np.std(inside) / np.std(tone[400:-400]) == pytest.approx(left, abs=off)


def test_the_high_pass_delays_nothing():
    voice = speech(seconds=1.0)
    done = remove_rumble(voice, RATE, 40)
    for shift in (-1, 1):
        assert np.dot(done, voice) > np.dot(done, np.roll(voice, shift))


@pytest.mark.parametrize("cutoff", [0.0, 1e-9, 0.5, 399.0])
def test_any_cutoff_on_any_length(cutoff: float):
    for count in (1, 2, 79, 4001):
        out = remove_rumble(np.full(count, 0.3) + np.arange(count) % 2, RATE, cutoff)
        assert len(out) == count
        assert np.isfinite(out).all()
        assert abs(out.mean()) < 0.2


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_loudness_is_that_of_pyloudnorm(rate: int):
    random = np.random.default_rng(rate)
    for seconds in (0.5, 1.337, 4.27):
        voice = speech(rate=rate, seconds=seconds, silence=0.3)
        samples = (voice + 0.003 * random.standard_normal(len(voice))).astype(np.float32)
        expected = pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))
        assert loudness(samples, rate) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("gain", [1.0, 0.05, 0.005])
def test_trimming_is_relative_to_the_recording(gain: float):
    begin, end = found(gain * speech(seconds=1.0, silence=0.5))
    assert begin == pytest.approx(0.45, abs=0.03)
    assert end == pytest.approx(1.55, abs=0.06)


def test_trimming_in_noise_26_db_below():
    noise = 0.004 * np.random.default_rng(1).standard_normal(2 * RATE)
    begin, end = found(speech(seconds=1.0, silence=0.5) + noise)
    assert begin == pytest.approx(0.45, abs=0.06)
    assert end == pytest.approx(1.55, abs=0.08)


def test_a_click_is_no_speech():
    samples = speech(seconds=1.0, silence=0.8)
    samples[RATE // 10] = 0.9
    assert found(samples)[0] == pytest.approx(0.75, abs=0.03)


def test_margin_is_kept_where_the_recording_has_it():
    samples = speech(seconds=1.0)
    assert found(samples) == (0.0, 1.0)
    assert found(speech(seconds=1.0, silence=0.5), margin=0.2)[0] == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("count", [0, 1, 10, 159, 161, 400])
def test_short_and_empty_recordings(count: int):
    samples = np.ones(count)
    part = find_speech(samples, RATE, below=40, margin=0.05)
    assert 0 <= part.begin <= part.end <= count
    assert len(frame_levels(samples, RATE)) == -(-count // 160)
    assert np.isfinite(loudness(samples, RATE))


def test_loudness_reaches_its_target():
    samples = speech(seconds=2.0)
    done = to_loudness(samples, RATE, target=-23, ceiling=-1)
    measured = pyloudnorm.Meter(RATE).integrated_loudness(done.samples.astype(np.float64))
    assert measured == pytest.approx(-23, abs=0.05)
    assert done.before + done.gain == pytest.approx(-23, abs=0.01)  # gains are multiples of 0.01 dB


def test_the_peak_ceiling_wins():
    samples = 0.01 * speech(seconds=2.0)
    samples[1000] = 0.5
    done = to_loudness(samples, RATE, target=-10, ceiling=-1)
    assert np.abs(done.samples).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)


def test_a_clip_shorter_than_the_standards_block():
    samples = speech(seconds=0.2)
    done = to_loudness(samples, RATE, target=-23, ceiling=-1)
    assert loudness(done.samples, RATE) == pytest.approx(-23, abs=0.01)
    silent = to_loudness(np.zeros(100, np.float32), RATE, target=-23, ceiling=-1)
    assert np.all(silent.samples == 0)


def test_flat_tops_are_seen_at_any_level():
    cut = np.clip(speech(level=1.0), -0.4, 0.4)
    assert flat_share(cut) > 0.02
    assert flat_share((0.3 * cut - 0.125).astype(np.float32)) > 0.02
    assert flat_share(speech(level=1.0)) < 1e-3
    assert flat_share(np.zeros(1000, np.float32)) == 0
    assert flat_share(np.zeros(2, np.float32)) == 0
    sine = np.round(0.3 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE) * 32768) / 32768
    assert flat_share(sine.astype(np.float32)) == 0
