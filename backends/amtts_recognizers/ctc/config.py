"""Settings and sizes of the CTC recognizer."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from amtts_core.audio.mel import MelConfig
from amtts_core.settings import Settings

SAMPLE_RATE = 16000
"""Hz; the rate at which corpora are read."""


class AugmentConfig(Settings):
    """Changes of the spectrogram in training; none in evaluation."""

    tempo: float = Field(0.12, ge=0, lt=0.5, description="largest change of speed, as a share")
    pitch_warp: float = Field(0.12, ge=0, lt=0.5, description="largest stretch of the mel axis: other voices")
    blur: float = Field(0.5, ge=0, le=1, description="share of utterances blurred as vocoders blur")
    noise: float = Field(0.5, ge=0, le=1, description="share of utterances with background noise")
    padding: float = Field(
        0.5, ge=0, le=1, description="share of utterances with noise before and after them"
    )
    time_masks: int = Field(2, ge=0, description="stretches of time hidden (SpecAugment)")
    time_mask_frames: int = Field(10, gt=0, description="longest such stretch, mel frames")
    mel_masks: int = Field(2, ge=0, description="bands of mel channels hidden (SpecAugment)")
    mel_mask_channels: int = Field(10, gt=0, description="widest such band, channels")


class CtcConfig(Settings):
    """The network of the CTC recognizer."""

    mel: MelConfig = Field(
        default_factory=lambda: MelConfig(
            sample_rate=SAMPLE_RATE, n_fft=512, hop=160, n_mels=80, fmin=40.0, fmax=7600.0
        ),
        description="the spectrogram it reads",
    )
    stride: int = Field(2, gt=0, description="mel frames of one output frame")
    hidden: int = Field(160, gt=0, description="channels of the blocks")
    expansion: int = Field(2, gt=0, description="inner over outer channels of a block")
    kernels: tuple[int, ...] = Field(
        (7, 7, 9, 9, 11, 11, 13, 13), min_length=1, description="output frames each block sees, odd"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout inside blocks")
    prior_weight: float = Field(
        0.3,
        ge=0,
        le=1,
        description="how far the frequency of a symbol is divided out in the loss, so that symbols last as long as "
        "their sounds; 0 is plain CTC",
    )
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="changes in training")

    @field_validator("kernels")
    @classmethod
    def _odd(cls, kernels: tuple[int, ...]) -> tuple[int, ...]:
        if any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ValueError("every kernel must be odd and positive, so that a block keeps the length")
        return kernels

    @model_validator(mode="after")
    def _own_rate(self) -> CtcConfig:
        if self.mel.sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"mel.sample_rate is {self.mel.sample_rate}; the recognizer reads {SAMPLE_RATE} Hz"
            )
        return self

    @property
    def frame_seconds(self) -> float:
        """Seconds of one output frame."""
        return self.stride / self.mel.frame_rate


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {"hidden": 32, "kernels": (5, 5, 7), "dropout": 0.0},
}
