"""Loudness by ITU-R BS.1770 and one gain to a target, held under a peak ceiling.

The standard's weighting filter is applied in the spectra of two tenths of a second each, with what came before them
(overlap-save): the same to 0.001 LU as running the filter sample by sample, in a fraction of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin, sqrt

import numpy as np

from amtts_core.units import Decibels, Hertz, Seconds

BLOCK: Seconds = 0.4
"""The standard's gating block; a shorter clip has no loudness by the standard."""
_STEPS = 4  # in a block; blocks start a step apart
_MEMORY: Seconds = 0.03  # of the filter; what is older is 60 dB down
_ABSOLUTE_GATE: Decibels = -70.0
_RELATIVE_GATE: Decibels = -10.0
_OFFSET: Decibels = -0.691  # makes a full-scale sine of 997 Hz -3.01 LUFS


@dataclass(frozen=True)
class Levelled:
    """Samples brought to a loudness.

    Attributes:
        samples: (T,) float32.
        before: loudness of the input, LUFS.
        gain: that was applied, dB.
    """

    samples: np.ndarray
    before: Decibels
    gain: Decibels


def _shelf(rate: Hertz) -> tuple[list[float], list[float]]:
    """The standard's first stage, the head: 4 dB more from 1500 Hz up; numerator and denominator in z."""
    amplitude, angle = 10 ** (4 / 40), 2 * pi * 1500 / rate
    c, root = cos(angle), 2 * sqrt(amplitude) * sin(angle) / sqrt(2)
    more, less = amplitude + 1, amplitude - 1
    above = [
        amplitude * (more + less * c + root),
        -2 * amplitude * (less + more * c),
        amplitude * (more + less * c - root),
    ]
    return above, [more - less * c + root, 2 * (less - more * c), more - less * c - root]


def _high_pass(rate: Hertz) -> tuple[list[float], list[float]]:
    """The standard's second stage: a high-pass at 38 Hz with a quality of 0.5."""
    angle = 2 * pi * 38 / rate
    alpha, c = sin(angle), cos(angle)
    return [(1 + c) / 2, -(1 + c), (1 + c) / 2], [1 + alpha, -2 * c, 1 - alpha]


@lru_cache(maxsize=16)
def _response(rate: Hertz, size: int) -> np.ndarray:
    """Both stages at the frequencies of a spectrum of `size` samples, (size // 2 + 1,) complex64."""
    delay = np.exp(-2j * pi * np.arange(size // 2 + 1) / size)
    response = np.ones_like(delay)
    for above, below in (_shelf(rate), _high_pass(rate)):
        response *= np.polyval(above[::-1], delay) / np.polyval(below[::-1], delay)
    return response.astype(np.complex64)


def _block_powers(samples: np.ndarray, rate: Hertz) -> np.ndarray:
    """Mean square of each block after the weighting filter, (blocks,)."""
    from scipy.fft import irfft, next_fast_len, rfft  # keep float32 and do many at once, unlike numpy's

    step, before = round(BLOCK / _STEPS * rate), round(_MEMORY * rate)
    blocks = round((len(samples) / rate - BLOCK) / (BLOCK / _STEPS)) + 1
    pairs = -(-(blocks + _STEPS - 1) // 2)
    padded = np.zeros(before + 2 * pairs * step, np.float32)
    fits = samples[: 2 * pairs * step]
    padded[before : before + len(fits)] = fits
    views = np.lib.stride_tricks.sliding_window_view(padded, before + 2 * step)[:: 2 * step]
    size = next_fast_len(before + 2 * step, real=True)
    spectra = rfft(views, size)
    spectra *= _response(rate, size)
    weighted = irfft(spectra, size, overwrite_x=True)[:, before : before + 2 * step].reshape(-1, 2, step)
    energies = np.einsum("ijk,ijk->ij", weighted, weighted).astype(np.float64).ravel()
    return np.convolve(energies[: blocks + _STEPS - 1], np.ones(_STEPS), mode="valid") / (BLOCK * rate)


def loudness(samples: np.ndarray, rate: Hertz) -> Decibels:
    """Integrated loudness in LUFS; the plain RMS level where the clip is shorter than a block or gated away."""
    if len(samples) > BLOCK * rate:
        powers = _block_powers(samples, rate)
        loud = powers[powers >= 10 ** ((_ABSOLUTE_GATE - _OFFSET) / 10)]
        if len(loud):
            loud = loud[loud > loud.mean() * 10 ** (_RELATIVE_GATE / 10)]
            return _OFFSET + 10 * float(np.log10(loud.mean()))
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return _OFFSET + 10 * float(np.log10(max(power, 1e-12)))


def to_loudness(samples: np.ndarray, rate: Hertz, *, target: Decibels, ceiling: Decibels) -> Levelled:
    """Applies one gain so that the clip has `target` LUFS, or less where its peak would pass `ceiling` dBFS."""
    before = loudness(samples, rate)
    peak = float(max(samples.max(), -samples.min())) if len(samples) else 0.0
    gain = target - before
    if peak > 0:
        gain = min(gain, ceiling - 20 * float(np.log10(peak)))
    return Levelled((samples * 10 ** (gain / 20)).astype(np.float32, copy=False), before, gain)
