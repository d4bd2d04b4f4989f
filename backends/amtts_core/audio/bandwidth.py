"""How far up a recording's spectrum reaches: telephone speech in a 22 kHz file still ends at 4 kHz."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from amtts_core.units import Decibels, Hertz, Seconds

_FRAME: Seconds = 0.032
_FRAMES = (
    32  # spread over the clip; twice as many change the estimate by a bin, or two to five in one clip of ten
)
_LOWEST = 3  # bins; below lie DC and rumble, which may be stronger than the voice
_FLOOR: Decibels = -75.0
"""Below the strongest part; speech and room noise stay above it, a resampler's stop band and 16-bit steps below."""
_SMOOTH = 5  # bins


@lru_cache(maxsize=16)
def _window(size: int) -> np.ndarray:
    return np.hanning(size).astype(np.float32)


def bandwidth(samples: np.ndarray, rate: Hertz) -> float:
    """The frequency above which there is nothing, Hz; half the rate where the whole band is used, 0 for silence.

    Args:
        samples: (T,).
        rate: of the samples.
    """
    size = 1 << int(np.log2(_FRAME * rate))
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    starts = np.linspace(0, len(samples) - size, min(_FRAMES, max(1, len(samples) // size))).astype(int)
    frames = samples.astype(np.float32, copy=False)[starts[:, None] + np.arange(size)]
    frames -= frames.mean(axis=1, keepdims=True)
    frames *= _window(size)
    # scipy's is faster, but imports for longer than the difference over thousands of clips
    parts = np.fft.rfft(frames).astype(np.complex64, copy=False).view(np.float32)
    power = np.einsum("ij,ij->j", parts, parts).reshape(-1, 2).sum(axis=1, dtype=np.float64)
    power[:_LOWEST] = 0
    smooth = np.convolve(power, np.ones(_SMOOTH) / _SMOOTH, mode="same")
    if smooth.max() <= 0:
        return 0.0
    above = np.flatnonzero(smooth > smooth.max() * 10 ** (_FLOOR / 10))
    return min(rate / 2, (float(above[-1]) + _SMOOTH // 2 + 1) * rate / size)
