"""What the vocoder learns from: samples, and the fundamental frequency that swift-f0 finds in them."""

from __future__ import annotations

import numpy as np

from amtts_core.audio.pcm import to_pcm16
from amtts_core.audio.pitch import pitch_of
from amtts_core.contract.types import Features
from amtts_vocoders.neural.config import VocoderConfig

UNITS_PER_HERTZ = 100
"""The stored pitch is a whole number of hundredths of a hertz, up to 655 Hz."""


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
