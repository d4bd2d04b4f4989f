"""What the vocoder learns from: samples, and the fundamental frequency that swift-f0 finds in them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from amtts_core.audio.mel import MelConfig
from amtts_core.audio.pcm import to_pcm16
from amtts_core.contract.types import Features
from amtts_core.errors import AmttsError
from amtts_vocoders.neural.config import VocoderConfig

UNITS_PER_HERTZ = 100
"""The stored pitch is a whole number of hundredths of a hertz, up to 655 Hz."""
CONFIDENT = 0.05
"""Confidence above which a frame's own pitch is stored; others are interpolated."""


@lru_cache(maxsize=1)
def _detector() -> Any:
    try:
        from swift_f0 import SwiftF0
    except ImportError:
        raise AmttsError(
            "training a vocoder needs the pitch detector swift-f0",
            remedy="Install it with: pip install 'amtts[vocoder]'",
        ) from None
    return SwiftF0(threads=1, spin=False)


def vocoder_features(config: VocoderConfig, waveform: np.ndarray) -> Features:
    """`waveform` 16-bit samples (T,), `pitch` (L,) in hundredths of a hertz, `voicing` (L,) 0 to 255."""
    hertz, confidence = pitch_of(waveform, config.mel, low=config.pitch.low, high=config.pitch.high)
    return Features(
        arrays={
            "waveform": to_pcm16(waveform),
            "pitch": np.round(hertz * UNITS_PER_HERTZ).clip(0, 65535).astype(np.uint16),
            "voicing": np.round(confidence * 255).astype(np.uint8),
        }
    )


def pitch_of(
    waveform: np.ndarray, mel: MelConfig, *, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fundamental frequency (L,) Hz and confidence (L,) in [0, 1] at the frames' centers.

    Where nothing is voiced the frequency is interpolated between its neighbors.
    """
    frames = len(waveform) // mel.hop
    at = (np.arange(frames) + 0.5) * mel.hop / mel.sample_rate
    found = _detector().detect(waveform, mel.sample_rate, low, high)
    confidence = np.interp(at, found.timestamps, found.confidence)
    sure = found.confidence > CONFIDENT
    if not sure.any():
        return np.full(frames, np.sqrt(low * high)), confidence
    return np.exp(np.interp(at, found.timestamps[sure], np.log(found.pitch_hz[sure]))), confidence
