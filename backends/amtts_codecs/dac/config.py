"""Settings and sizes of a DAC that is trained here, and the published ones as presets."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

from pydantic import Field, model_validator

from amtts_core.settings import Settings

SAMPLE_RATE = 16000


class DacLossConfig(Settings):
    """Weights of the loss terms, as published."""

    mel: float = Field(15.0, ge=0, description="of the mel distance, summed over windows")
    feature: float = Field(2.0, ge=0, description="of the discriminators' feature maps")
    adversarial: float = Field(1.0, ge=0, description="of the discriminators' scores")
    commitment: float = Field(0.25, ge=0, description="of the encoder's pull towards codebook entries")
    codebook: float = Field(1.0, ge=0, description="of the codebook entries' pull towards the encoder")
    windows: tuple[int, ...] = Field(
        (32, 64, 128, 256, 512, 1024, 2048), description="window lengths of the mel distance, samples"
    )
    n_mels: tuple[int, ...] = Field(
        (5, 10, 20, 40, 80, 160, 320), description="mel channels of each of these windows"
    )

    @model_validator(mode="after")
    def _paired(self) -> DacLossConfig:
        if len(self.windows) != len(self.n_mels) or not self.windows:
            raise ValueError(
                f"{len(self.windows)} windows and {len(self.n_mels)} n_mels; one each is expected"
            )
        return self


class DacDiscriminatorConfig(Settings):
    """The discriminators: one for each period, one for each STFT window."""

    periods: tuple[int, ...] = Field(
        (2, 3, 5, 7, 11), description="of the discriminators on the folded waveform"
    )
    period_channels: tuple[int, ...] = Field(
        (32, 128, 512, 1024), min_length=1, description="channels of their strided layers"
    )
    windows: tuple[int, ...] = Field(
        (2048, 1024, 512), description="STFT windows of the band discriminators, samples"
    )
    band_edges: tuple[float, ...] = Field(
        (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), description="edges of the bands, shares of the spectrum"
    )
    band_channels: int = Field(32, gt=0, description="channels of a band discriminator")

    @model_validator(mode="after")
    def _some(self) -> DacDiscriminatorConfig:
        if not self.periods and not self.windows:
            raise ValueError(
                "needs a period or a window; model.adversarial=false trains without discriminators"
            )
        edges = self.band_edges
        if (
            len(edges) < 2
            or any(low >= high for low, high in pairwise(edges))
            or edges[0] < 0
            or edges[-1] > 1
        ):
            raise ValueError(f"band_edges {list(edges)} must rise within 0 and 1")
        return self


class DacSettings(Settings):
    """The codec's network and how it is trained."""

    encoder_channels: int = Field(
        64, gt=0, description="channels of the encoder's first layer; each stage doubles"
    )
    strides: tuple[int, ...] = Field((2, 4, 5, 8), min_length=1, description="of the encoder's stages")
    decoder_channels: int = Field(
        1536, gt=0, description="channels of the decoder's first layer; each stage halves"
    )
    num_codebooks: int = Field(12, gt=0, description="codes of one frame, each refining the ones before")
    cardinality: int = Field(1024, gt=1, le=65536, description="entries of one codebook, a power of 2")
    code_dim: int = Field(8, gt=0, description="values of one codebook entry")
    quantizer_dropout: float = Field(
        0.5, ge=0, le=1, description="share of a batch that is learnt with fewer codebooks"
    )
    restart_below: float = Field(
        0.0,
        ge=0,
        description="uses per step under which a codebook entry restarts at a current value; 0 is off",
    )
    segment: int = Field(6080, gt=0, description="samples cut from an utterance for a training step")
    adversarial: bool = Field(
        True, description="train against discriminators; without them it is faster and duller"
    )
    discriminator: DacDiscriminatorConfig = Field(
        default_factory=DacDiscriminatorConfig, description="sizes of the discriminators"
    )
    loss: DacLossConfig = Field(default_factory=DacLossConfig, description="weights of the loss terms")
    start: str = Field("", description="DAC weights to start from: a .pth, a Hugging Face folder, or a run")

    @model_validator(mode="after")
    def _plausible(self) -> DacSettings:
        if self.cardinality & (self.cardinality - 1):
            raise ValueError(f"cardinality {self.cardinality} is no power of 2")
        if self.decoder_channels % 2 ** len(self.strides):
            raise ValueError(
                f"decoder_channels {self.decoder_channels} cannot be halved {len(self.strides)} times"
            )
        longest = max(*self.loss.windows, *self.discriminator.windows, self.hop)
        if self.segment % self.hop or self.segment < longest:
            raise ValueError(
                f"segment {self.segment} must be a multiple of {self.hop} and at least {longest} samples"
            )
        return self

    @property
    def hop(self) -> int:
        """Samples of one code frame."""
        return prod(self.strides)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "encoder_channels": 16,
        "decoder_channels": 256,
        "num_codebooks": 4,
        "restart_below": 0.02,
        "discriminator": {"period_channels": [8, 32, 64, 128], "band_channels": 8},
    },
    "tiny": {
        "encoder_channels": 4,
        "decoder_channels": 64,
        "num_codebooks": 2,
        "cardinality": 64,
        "code_dim": 4,
        "restart_below": 0.02,
        "segment": 2560,
        "discriminator": {
            "periods": [2, 3],
            "period_channels": [4, 8],
            "windows": [512],
            "band_channels": 4,
        },
        "loss": {"windows": [64, 256, 1024], "n_mels": [10, 40, 80], "feature": 0.5, "adversarial": 0.5},
    },
    "official_16khz": {},
}
"""`small` is made for training from scratch on a CPU; `official_16khz` has the sizes of the published model."""
