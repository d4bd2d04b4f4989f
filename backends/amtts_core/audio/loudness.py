"""Loudness by ITU-R BS.1770 (pyloudnorm) and one gain to a target, held under a peak ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from amtts_core.units import Decibels, Hertz, Seconds

BLOCK: Seconds = 0.4
"""The standard's gating block; a shorter clip has no loudness by the standard."""


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


@lru_cache(maxsize=16)
def _meter(rate: Hertz) -> Any:
    import pyloudnorm

    return pyloudnorm.Meter(rate, block_size=BLOCK)


def loudness(samples: np.ndarray, rate: Hertz) -> Decibels:
    """Integrated loudness in LUFS; the plain RMS level where the clip is shorter than a block or gated away."""
    if len(samples) > BLOCK * rate:
        value = float(_meter(rate).integrated_loudness(samples.astype(np.float64)))
        if np.isfinite(value):
            return value
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return -0.691 + 10 * float(np.log10(max(power, 1e-12)))


def to_loudness(samples: np.ndarray, rate: Hertz, *, target: Decibels, ceiling: Decibels) -> Levelled:
    """Applies one gain so that the clip has `target` LUFS, or less where its peak would pass `ceiling` dBFS."""
    before = loudness(samples, rate)
    peak = float(np.max(np.abs(samples))) if len(samples) else 0.0
    gain = target - before
    if peak > 0:
        gain = min(gain, ceiling - 20 * float(np.log10(peak)))
    return Levelled((samples * 10 ** (gain / 20)).astype(np.float32), before, gain)
