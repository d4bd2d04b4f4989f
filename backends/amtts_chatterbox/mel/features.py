"""What chatterbox-mel learns of a voice besides mels: pitch and voicing of every frame, stored in few bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_core.audio.pitch import pitch_of, without_octave_errors

UNITS_PER_HERTZ = 100
"""The stored pitch is a whole number of hundredths of a hertz, up to 655 Hz."""


def voice_features(
    waveform: np.ndarray, config: ChatterboxMelConfig, *, frames: int
) -> dict[str, np.ndarray]:
    """`pitch` (L,) in hundredths of a hertz and `voicing` (L,) 0 to 255 of a waveform (T,) with L frames."""
    hertz, confidence = pitch_of(waveform, config.mel, low=config.pitch.low, high=config.pitch.high)
    hertz = without_octave_errors(hertz, confidence)
    pitch = np.round(hertz * UNITS_PER_HERTZ).clip(1, 65535).astype(np.uint16)
    voicing = np.round(confidence.clip(0, 1) * 255).astype(np.uint8)
    missing = max(0, frames - len(pitch))  # a mel of less than one hop still has a frame
    return {
        "pitch": np.pad(pitch, (0, missing), constant_values=10000)[:frames],
        "voicing": np.pad(voicing, (0, missing))[:frames],
    }


def collated_voice(features: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
    """`pitch` (B, L) Hz and `voicing` (B, L) in [0, 1]; padding is unvoiced, at 100 Hz."""
    longest = max(len(one["pitch"]) for one in features)
    pitch, voicing = (
        torch.full((len(features), longest), 100.0 * UNITS_PER_HERTZ),
        torch.zeros(len(features), longest),
    )
    for row, one in enumerate(features):
        length = len(one["pitch"])
        pitch[row, :length] = torch.from_numpy(np.array(one["pitch"], dtype=np.float32).reshape(-1))
        voicing[row, :length] = torch.from_numpy(np.array(one["voicing"], dtype=np.float32).reshape(-1))
    return {"pitch": pitch / UNITS_PER_HERTZ, "voicing": voicing / 255}
