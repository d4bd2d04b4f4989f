"""Settings and sizes of chatterbox-mel. No size depends on a number typed here that a file could tell."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from amtts_core.audio.mel import MelConfig
from amtts_core.audio.mel_vocoder import VOCODER_HELP, Choice
from amtts_core.settings import Settings

SAMPLE_RATE = 22050
"""Hz; fixed, because corpora are read at it."""


class PitchConfig(Settings):
    """Pitch and voicing of every frame, predicted from the text and given to the decoder."""

    layers: int = Field(0, ge=0, description="blocks over frames; 0 goes without a pitch")
    hidden: int = Field(96, gt=0, description="channels")
    kernel: int = Field(9, gt=0, description="frames a block sees, odd")
    low: float = Field(50.0, gt=0, description="lowest fundamental frequency, Hz")
    high: float = Field(550.0, gt=0, description="highest fundamental frequency, Hz")
    weight: float = Field(0.2, ge=0, description="weight of the pitch and voicing losses")

    @model_validator(mode="after")
    def _plausible(self) -> PitchConfig:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} Hz is not below high {self.high:g} Hz")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; an odd one keeps the length")
        return self


class FlowConfig(Settings):
    """Conditional flow matching: noise around the decoder's mel becomes a mel with its fine structure."""

    layers: int = Field(0, ge=0, description="blocks over frames; 0 keeps the decoder's own mel")
    hidden: int = Field(192, gt=0, multiple_of=2, description="channels")
    expansion: int = Field(3, gt=0, description="inner over outer channels of a block")
    kernel: int = Field(7, gt=0, description="frames a block sees, odd")
    scale: float = Field(0.5, gt=0, description="deviation of the noise around the decoder's mel, normalized")
    segment: int = Field(128, gt=0, description="frames cut from an utterance for a training step")
    weight: float = Field(0.5, ge=0, description="weight of its loss")
    steps: int = Field(6, gt=0, description="Euler steps when it speaks")
    temperature: float = Field(0.7, ge=0, description="factor of the noise when it speaks")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("a kernel must be odd, so that a block keeps the length")
        return kernel


class ChatterboxMelConfig(Settings):
    """The network of chatterbox-mel."""

    mel: MelConfig = Field(default_factory=MelConfig, description="the spectrogram it learns")
    hidden: int = Field(160, gt=0, multiple_of=2, description="channels of encoder and decoder")
    expansion: int = Field(4, gt=0, description="inner over outer channels of a block")
    encoder_layers: int = Field(5, gt=0, description="blocks over text symbols")
    encoder_kernel: int = Field(5, gt=0, description="symbols a block sees, odd")
    duration_layers: int = Field(2, gt=0, description="blocks of the duration predictor")
    duration_kernel: int = Field(3, gt=0, description="symbols a duration block sees, odd")
    decoder_layers: int = Field(6, gt=0, description="blocks over frames")
    decoder_kernel: int = Field(9, gt=0, description="frames a block sees, odd")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside blocks")
    duration_weight: float = Field(0.1, ge=0, description="weight of the duration loss")
    prior_weight: float = Field(1.0, ge=0, description="weight of the alignment prior")
    pitch: PitchConfig = Field(default_factory=PitchConfig, description="the pitch predictor")
    flow: FlowConfig = Field(default_factory=FlowConfig, description="the generative decoder")
    contrast: float = Field(
        0.0,
        ge=0,
        le=3,
        description="how much a spoken mel's flat peaks and valleys are exaggerated; 0 does not",
    )
    griffin_lim_iterations: int = Field(48, gt=0, description="of Griffin-Lim")
    vocoder: Choice = Field("", description=VOCODER_HELP)

    @field_validator("encoder_kernel", "duration_kernel", "decoder_kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("a kernel must be odd, so that a block keeps the length")
        return kernel

    @field_validator("mel")
    @classmethod
    def _own_rate(cls, mel: MelConfig) -> MelConfig:
        if mel.sample_rate != SAMPLE_RATE:
            raise ValueError(f"this backend works at {SAMPLE_RATE} Hz, mel.sample_rate is {mel.sample_rate}")
        return mel


PRESETS: dict[str, dict[str, Any]] = {
    "base": {"contrast": 1.0},
    "tiny": {
        "hidden": 32,
        "expansion": 2,
        "encoder_layers": 2,
        "duration_layers": 1,
        "decoder_layers": 2,
        "griffin_lim_iterations": 8,
    },
    "expressive": {
        "expansion": 3,
        "decoder_layers": 4,
        "dropout": 0.1,
        "contrast": 0.7,
        "pitch": {"layers": 4},
        "flow": {"layers": 6, "hidden": 160, "temperature": 0.0},
    },
}
