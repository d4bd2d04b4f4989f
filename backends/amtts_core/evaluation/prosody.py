"""Speech against a recording of the same text: spectrum, pitch, voicing and length, along one time alignment.

The recording and the speech have other timing, so both are aligned by dynamic time warping over mel cepstra first.
L and K frames of 16 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dct
from scipy.spatial.distance import cdist

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.evaluation.packages import EXTRA, folder_of
from amtts_core.units import Hertz

RATE: Hertz = 16_000
HOP = 256
"""Samples of a frame: that of swift-f0."""
COEFFICIENTS = 24
"""Mel cepstral coefficients c1 to c24; c0, the level, does not count."""
_MEL = MelConfig(sample_rate=RATE, n_fft=1024, hop=HOP, n_mels=80, fmin=0.0, fmax=8000.0)
_DECIBELS = 10 / np.log(10) * np.sqrt(2)
VOICED = 0.5
LOWEST: Hertz = 50
HIGHEST: Hertz = 600
"""Pitch of speech. The detector also knows that of music: one frame at 1,500 Hz made an RMSE of 2.3 semitones 4.4."""
LEAST_VOICED = 5
"""Frames voiced in both that a pitch figure needs."""


def mel_cepstra(waveform: np.ndarray) -> np.ndarray:
    """(T,) at 16 kHz -> (L, 24) coefficients c1 to c24 of the natural-log mel spectrum.

    Scaled as SPTK's `mcep`: the log spectrum is `c0 + sum c_m cos(m w)`.
    """
    samples = np.pad(waveform.astype(np.float32), (0, max(0, _MEL.n_fft - len(waveform))))
    mel = log_mel(torch.from_numpy(samples)[None], _MEL)[0].T.numpy()
    return dct(mel.astype(np.float64), type=2, axis=1)[:, 1 : COEFFICIENTS + 1] / mel.shape[1]


def warping_path(cost: np.ndarray) -> np.ndarray:
    """(P, 2) indices of the cheapest path through a cost matrix (L, K), steps (1, 0), (0, 1) and (1, 1).

    Computed along anti-diagonals, whose cells do not depend on each other.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        total[i + 1, j + 1] = cost[i, j] + np.minimum(
            np.minimum(total[i, j + 1], total[i + 1, j]), total[i, j]
        )
    path = [(rows - 1, columns - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        before = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        path.append(min((p for p in before if min(p) >= 0), key=lambda p: total[p[0] + 1, p[1] + 1]))
    return np.array(path[::-1])


def cepstral_distortion(reference: np.ndarray, speech: np.ndarray) -> tuple[float, np.ndarray]:
    """Mel cepstral distortion (Kubichek 1993) of (L, 24) and (K, 24) in dB, mean over the path; and the path."""
    cost = cdist(reference, speech)
    path = warping_path(cost)
    return float(_DECIBELS * cost[path[:, 0], path[:, 1]].mean()), path


@dataclass(frozen=True)
class Pitch:
    """Pitch of frames: Hz (L,) and whether each is voiced (L,)."""

    hertz: np.ndarray
    voiced: np.ndarray


def pitch_detector() -> Callable[[np.ndarray], Pitch]:
    """swift-f0: waveform (T,) at 16 kHz -> pitch of frames of 16 ms.

    Raises:
        AmttsError: the package is missing.
    """
    folder_of("swift_f0", needed_for="pitch", remedy=EXTRA)
    from swift_f0 import SwiftF0

    detector = SwiftF0(threads=1, spin=False)

    def detect(waveform: np.ndarray) -> Pitch:
        found = detector.detect(
            np.ascontiguousarray(waveform, dtype=np.float32), RATE, fmin=LOWEST, fmax=HIGHEST
        )
        return Pitch(found.pitch_hz, found.confidence >= VOICED)

    return detect


def pitch_differences(reference: Pitch, speech: Pitch, path: np.ndarray) -> dict[str, float]:
    """Pitch along a path: RMSE in Hz and semitones, correlation of log pitch, share of frames with other voicing.

    Figures that need voiced frames are absent where fewer than `LEAST_VOICED` are voiced in both.
    """
    i = np.minimum(path[:, 0], len(reference.hertz) - 1)
    j = np.minimum(path[:, 1], len(speech.hertz) - 1)
    first, second = reference.voiced[i], speech.voiced[j]
    out = {"voicing_error": float((first != second).mean())}
    both = first & second
    if both.sum() >= LEAST_VOICED:
        a, b = reference.hertz[i][both], speech.hertz[j][both]
        out["f0_rmse_hz"] = float(np.sqrt(np.mean((a - b) ** 2)))
        semitones = 12 * np.log2(b / a)
        out["f0_rmse_semitones"] = float(np.sqrt(np.mean(semitones**2)))
        if np.ptp(a) > 0 and np.ptp(b) > 0:
            out["f0_correlation"] = float(np.corrcoef(np.log(a), np.log(b))[0, 1])
    return out


def median_pitch(pitch: Pitch) -> float | None:
    """Median of the voiced frames, Hz; None where nothing is voiced."""
    return float(np.median(pitch.hertz[pitch.voiced])) if pitch.voiced.any() else None
