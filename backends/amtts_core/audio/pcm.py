"""Samples as 16-bit integers, half the size of floats: what backends that learn from waveforms store."""

from __future__ import annotations

import numpy as np

LARGEST = 32767


def to_pcm16(waveform: np.ndarray) -> np.ndarray:
    """(T,) float in [-1, 1] -> (T,) int16; what lies outside is clipped."""
    return np.round(np.clip(waveform, -1, 1) * LARGEST).astype(np.int16)


def from_pcm16(stored: np.ndarray) -> np.ndarray:
    """(T,) int16 -> (T,) float32 in [-1, 1]."""
    return stored.astype(np.float32) / LARGEST
