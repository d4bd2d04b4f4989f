"""Settings and sizes of the vocoder that trains here."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from amtts_core.audio.mel import MelConfig
from amtts_core.settings import Settings


class PitchConfig(Settings):
    """The part that reads fundamental frequency and voicing off the mel."""

    hidden: int = Field(96, gt=0, description="channels")
    layers: int = Field(4, gt=0, description="ConvNeXt blocks")
    bins: int = Field(128, gt=1, description="classes of the fundamental frequency, log-spaced")
    low: float = Field(50.0, gt=0, description="lowest fundamental frequency, Hz")
    high: float = Field(550.0, gt=0, description="highest fundamental frequency, Hz")

    @model_validator(mode="after")
    def _ordered(self) -> PitchConfig:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} Hz is not below high {self.high:g} Hz")
        return self


class VocoderLossConfig(Settings):
    """Weights of the loss terms."""

    windows: tuple[int, ...] = Field(
        (1536, 512, 160), description="windows of the spectral distance, samples"
    )
    repulsion: float = Field(
        1.0, ge=0, le=1, description="of the distance between two outputs with other noise; 0 does without"
    )
    phase: float = Field(0.5, ge=0, description="of the harmonics' phase error")
    pitch: float = Field(0.2, ge=0, description="of the fundamental frequency's and voicing's cross entropy")
    mel: float = Field(1.0, ge=0, description="of the distance to the given mel")
    feature: float = Field(0.5, ge=0, description="of the discriminators' feature maps")
    adversarial: float = Field(0.2, ge=0, description="of the discriminators' scores")


class DiscriminatorConfig(Settings):
    """The discriminators; none without `adversarial`."""

    periods: tuple[int, ...] = Field((2, 3, 5, 7), description="of the multi-period discriminators, samples")
    period_channels: tuple[int, ...] = Field((8, 16, 32, 64), description="of their layers")
    windows: tuple[int, ...] = Field(
        (1024, 512, 256), description="of the spectrogram discriminators, samples"
    )
    window_channels: int = Field(12, gt=0, description="of all their layers")


class VocoderConfig(Settings):
    """The vocoder's network."""

    mel: MelConfig = Field(default_factory=MelConfig, description="the spectrogram it reads")
    hidden: int = Field(192, gt=0, description="channels of the ConvNeXt blocks")
    expansion: int = Field(3, gt=0, description="inner over outer channels of a block")
    layers: int = Field(6, gt=0, description="ConvNeXt blocks")
    kernel: int = Field(7, gt=0, description="frames a block sees, odd")
    pitch: PitchConfig = Field(default_factory=PitchConfig, description="the pitch predictor")
    places: int = Field(8, gt=0, description="gains of an excitation within one frame")
    projections: int = Field(16, ge=0, description="corrections towards the given mel")
    training_projections: int = Field(3, ge=0, description="how many of them in training")
    segment: int = Field(64, gt=8, description="mel frames cut from an utterance for a training step")
    predicted_pitch: float = Field(
        0.6, ge=0, le=1, description="share of training items that speak with the predicted pitch"
    )
    gain: float = Field(6.0, ge=0, description="random level of training items, dB up or down")
    adversarial: bool = Field(False, description="train discriminators too")
    discriminators: DiscriminatorConfig = Field(
        default_factory=DiscriminatorConfig, description="their sizes"
    )
    loss: VocoderLossConfig = Field(
        default_factory=VocoderLossConfig, description="weights of the loss terms"
    )

    @model_validator(mode="after")
    def _plausible(self) -> VocoderConfig:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; an odd one keeps the length")
        if self.mel.hop % self.places:
            raise ValueError(f"places {self.places} does not divide mel.hop {self.mel.hop}")
        if self.training_projections > self.projections:
            raise ValueError(
                f"training_projections {self.training_projections} is more than projections {self.projections}"
            )
        if self.mel.n_fft % self.mel.hop or self.mel.n_fft < 2 * self.mel.hop:
            raise ValueError(
                f"mel.hop {self.mel.hop} must divide mel.n_fft {self.mel.n_fft} into 2 parts or more"
            )
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {"hidden": 96, "layers": 4, "expansion": 2, "pitch": {"hidden": 64, "layers": 3}},
    "large": {"hidden": 512, "layers": 8, "expansion": 3},
}
