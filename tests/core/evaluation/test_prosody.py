"""Mel cepstra, warping and pitch against closed forms, brute force and a second pitch tracker's stored values."""

from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from scipy.spatial.distance import cdist

from amtts_core.audio.io import read_audio
from amtts_core.audio.mel import log_mel
from amtts_core.evaluation import prosody

CORPUS = Path(__file__).parents[3] / "examples" / "corpus" / "audio"


def cheapest(cost):
    """The cost of the cheapest path, by recursion over all of them."""
    memo = {}

    def best(i, j):
        if (i, j) not in memo:
            before = [best(*p) for p in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if min(p) >= 0]
            memo[i, j] = cost[i, j] + (min(before) if before else 0.0)
        return memo[i, j]

    return best(cost.shape[0] - 1, cost.shape[1] - 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (6, 1), (7, 9), (20, 13)])
def test_the_warping_path_is_the_cheapest(shape):
    cost = np.random.default_rng(3).random(shape)
    path = prosody.warping_path(cost)
    assert tuple(path[0]) == (0, 0)
    assert tuple(path[-1]) == (shape[0] - 1, shape[1] - 1)
    assert set(map(tuple, np.diff(path, axis=0))) <= {(0, 1), (1, 0), (1, 1)}
    assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(cheapest(cost))


def test_the_warping_path_of_librosa():
    """librosa 0.11.0, `sequence.dtw` of the same matrices: total cost 76.23124166291272, 72 steps."""
    rng = np.random.default_rng(5)
    first = rng.normal(size=(40, 24))
    second = np.repeat(first, 2, axis=0)[3:70] + 0.1 * rng.normal(size=(67, 24))
    cost = cdist(first, second)
    path = prosody.warping_path(cost)
    assert len(path) == 72
    assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(76.23124166291272)


def test_distortion_with_all_coefficients_is_the_distance_of_the_spectra_in_decibels(monkeypatch):
    """Parseval: over all coefficients but c0, MCD is the RMS difference in dB of mel spectra freed of their means."""
    monkeypatch.setattr(prosody, "COEFFICIENTS", 79)
    rng = np.random.default_rng(4)
    waves = [rng.normal(0, 0.1, size=1024).astype(np.float32) for _ in range(2)]
    cepstra = [prosody.mel_cepstra(wave)[:1] for wave in waves]
    mels = [
        log_mel(torch.from_numpy(wave)[None], prosody._MEL)[0].T.numpy()[0].astype(np.float64)
        for wave in waves
    ]
    decibels = [20 / np.log(10) * (mel - mel.mean()) for mel in mels]
    expected = np.sqrt(np.mean((decibels[0] - decibels[1]) ** 2))
    assert prosody.cepstral_distortion(*cepstra)[0] == pytest.approx(expected, rel=1e-4)


def test_a_recording_has_no_distance_from_itself():
    wave = read_audio(CORPUS / "001.ogg", sample_rate=16_000)
    distortion, path = prosody.cepstral_distortion(prosody.mel_cepstra(wave), prosody.mel_cepstra(wave))
    assert distortion == pytest.approx(0, abs=1e-9)
    assert (path[:, 0] == path[:, 1]).all()


def test_pitch_of_a_recording_agrees_with_pyworld():
    """pyworld 0.3.5, `harvest` of the same recording with frames of 16 ms: median 101.37 Hz."""
    pytest.importorskip("swift_f0", reason="the extra amtts[evaluate] is not installed")
    wave = read_audio(CORPUS / "001.ogg", sample_rate=16_000)
    pitch = prosody.pitch_detector()(wave)
    assert prosody.median_pitch(pitch) == pytest.approx(101.37, rel=0.02)


@pytest.fixture(scope="module")
def readings():
    """A sentence, and the same sentence an eighth faster and 2.31 semitones higher."""
    wave = read_audio(CORPUS / "001.ogg", sample_rate=16_000)
    return wave, soxr.resample(wave, 16_000, 14_000).astype(np.float32)


def test_distortion_of_two_readings_is_that_of_librosa(readings):
    """librosa 0.11.0: `feature.melspectrogram`, `feature.mfcc`, `sequence.dtw` with the same windows."""
    wave, higher = readings
    other = read_audio(CORPUS / "002.ogg", sample_rate=16_000)
    first, second, third = map(prosody.mel_cepstra, (wave, other, higher))
    assert prosody.cepstral_distortion(first, second)[0] == pytest.approx(11.4018, abs=0.01)
    assert prosody.cepstral_distortion(first, third)[0] == pytest.approx(11.5597, abs=0.01)


def test_pitch_figures_of_two_readings_are_those_of_other_trackers(readings):
    """Along librosa's path, frames of 16 ms: pyworld 0.3.5 `harvest` and Praat's autocorrelation (parselmouth 0.4.7).

    | | semitones | Hz | correlation | other voicing | median |
    |---|---|---|---|---|---|
    | pyworld | 2.318 | 14.70 | 0.983 | 0.041 | 115.6 |
    | Praat | 2.312 | 14.35 | 0.997 | 0.024 | 114.9 |
    """
    pytest.importorskip("swift_f0", reason="the extra amtts[evaluate] is not installed")
    wave, higher = readings
    _, path = prosody.cepstral_distortion(prosody.mel_cepstra(wave), prosody.mel_cepstra(higher))
    detect = prosody.pitch_detector()
    first, second = detect(wave), detect(higher)
    found = prosody.pitch_differences(first, second, path)
    assert found["f0_rmse_semitones"] == pytest.approx(2.315, abs=0.15)
    assert found["f0_rmse_hz"] == pytest.approx(14.5, abs=1)
    assert found["f0_correlation"] > 0.95
    assert found["voicing_error"] == pytest.approx(0.03, abs=0.03)
    assert prosody.median_pitch(second) == pytest.approx(115.2, rel=0.02)


def test_pitch_differences_of_a_known_shift():
    hertz = np.linspace(100, 200, 50)
    voiced = np.ones(50, dtype=bool)
    voiced[:5] = False
    other = voiced.copy()
    other[45:] = False
    path = np.stack([np.arange(50)] * 2, axis=1)
    found = prosody.pitch_differences(
        prosody.Pitch(hertz, voiced), prosody.Pitch(hertz * 2 ** (3 / 12), other), path
    )
    assert found["f0_rmse_semitones"] == pytest.approx(3)
    assert found["f0_correlation"] == pytest.approx(1)
    assert found["voicing_error"] == pytest.approx(0.1)
    both = hertz[5:45]
    assert found["f0_rmse_hz"] == pytest.approx(np.sqrt(np.mean((both * (2 ** (3 / 12) - 1)) ** 2)))


def test_no_pitch_figure_without_voice():
    none = prosody.Pitch(np.full(20, 100.0), np.zeros(20, dtype=bool))
    path = np.stack([np.arange(20)] * 2, axis=1)
    assert prosody.pitch_differences(none, none, path) == {"voicing_error": 0.0}
    assert prosody.median_pitch(none) is None
