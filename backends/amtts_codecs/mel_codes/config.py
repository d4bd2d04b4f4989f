"""Settings and sizes of mel-codes."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from amtts_core.audio.mel import MelConfig
from amtts_core.audio.mel_vocoder import VOCODER_HELP, Choice
from amtts_core.settings import Settings

SAMPLE_RATE = 16000


class MelCodesConfig(Settings):
    """The codec's network."""

    mel: MelConfig = Field(
        default_factory=lambda: MelConfig(sample_rate=SAMPLE_RATE), description="the spectrogram it codes"
    )
    stride: int = Field(2, gt=0, description="mel frames of one code frame")
    num_codebooks: int = Field(1, gt=0, description="codes of one code frame, each refining the ones before")
    cardinality: int = Field(1024, gt=1, le=65536, description="entries of one codebook")
    code_dim: int = Field(32, gt=0, description="values of one codebook entry")
    hidden: int = Field(192, gt=0, description="channels of encoder and decoder")
    encoder_layers: int = Field(2, gt=0, description="blocks before and after the encoder's stride")
    decoder_layers: int = Field(3, gt=0, description="blocks over mel frames in the decoder")
    segment: int = Field(96, gt=0, description="mel frames cut from an utterance for a training step")
    commitment_weight: float = Field(0.25, ge=0, description="weight of the pull towards codebook entries")
    codebook_decay: float = Field(0.98, gt=0, lt=1, description="memory of the codebook's moving average")
    restart_below: float = Field(
        0.02, ge=0, description="uses per step under which an entry restarts at a current value"
    )
    griffin_lim_iterations: int = Field(60, gt=0, description="of Griffin-Lim")
    vocoder: Choice = Field("", description=VOCODER_HELP)

    @model_validator(mode="after")
    def _plausible(self) -> MelCodesConfig:
        if self.mel.sample_rate != SAMPLE_RATE:
            raise ValueError(f"mel.sample_rate is {self.mel.sample_rate}; mel-codes reads {SAMPLE_RATE} Hz")
        if self.segment % self.stride:
            raise ValueError(f"segment {self.segment} is no multiple of stride {self.stride}")
        return self

    @property
    def hop(self) -> int:
        """Samples of one code frame."""
        return self.mel.hop * self.stride


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {
        "hidden": 64,
        "code_dim": 16,
        "cardinality": 256,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "segment": 48,
        "griffin_lim_iterations": 8,
    },
}
