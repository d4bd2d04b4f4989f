"""Fundamental frequency and voicing of a waveform, by swift-f0 (Nieradzik 2025), at the frames of a mel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from amtts_core.audio.mel import MelConfig
from amtts_core.errors import AmttsError

CONFIDENT = 0.05
"""Confidence above which a frame's own pitch counts; others are interpolated."""
OCTAVE = np.log(2.0)
APART = 0.75
"""Distance from the utterance's median, in octaves, beyond which a pitch is tried an octave higher or lower."""


@lru_cache(maxsize=1)
def _detector() -> Any:
    try:
        from swift_f0 import SwiftF0
    except ImportError:
        raise AmttsError(
            "pitch is read by the detector swift-f0, which is not installed",
            remedy="Install it with: pip install swift-f0",
        ) from None
    return SwiftF0(threads=1, spin=False)


def pitch_of(
    waveform: np.ndarray, mel: MelConfig, *, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fundamental frequency (L,) Hz and confidence (L,) in [0, 1] at the frames' centers.

    Where nothing is voiced the frequency is interpolated between its neighbors.

    Args:
        waveform: (T,) float32 in [-1, 1] at the rate of `mel`; L = T // hop.
        mel: says where frames are.
        low, high: range of the fundamental frequency, Hz.

    Raises:
        AmttsError: swift-f0 is not installed.
    """
    frames = len(waveform) // mel.hop
    at = (np.arange(frames) + 0.5) * mel.hop / mel.sample_rate
    found = _detector().detect(waveform, mel.sample_rate, low, high)
    confidence = np.interp(at, found.timestamps, found.confidence)
    sure = found.confidence > CONFIDENT
    if not sure.any():
        return np.full(frames, np.sqrt(low * high)), confidence
    return np.exp(np.interp(at, found.timestamps[sure], np.log(found.pitch_hz[sure]))), confidence


def without_octave_errors(hertz: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """A pitch (L,) in Hz whose frames stay within an octave of the utterance's median.

    A detector takes half or twice the frequency now and then. A frame that is more than `APART` octaves from the median
    (weighted by confidence) is moved by an octave if that brings it nearer.
    """
    if not len(hertz) or confidence.max() <= 0:
        return hertz
    logs = np.log(hertz)
    order = np.argsort(logs)
    share = np.cumsum(confidence[order])
    middle = logs[order][np.searchsorted(share, share[-1] / 2)]
    off = logs - middle
    octaves = np.where(np.abs(off) > APART * OCTAVE, np.sign(off), 0.0)
    return np.asarray(np.exp(logs - octaves * OCTAVE))
