"""Settings that every autoregressive speech model has: its codec, how it learns codes, how it is decoded."""

from __future__ import annotations

from pydantic import Field

from amtts_core.settings import Settings
from amtts_core.speech_lm.runtime import Precision

MUTABLE = (
    "text_weight",
    "text_dropout",
    "loss_chunk",
    "sampling",
    "precision",
    "draft",
    "codec_weights",
)
"""Of these what may change with a trained network."""


class SpeechLmSettings(Settings):
    """Mixin of a network's settings."""

    codec: str = Field("", description="speech codec whose codes it learns and speaks, such as mel-codes")
    codec_weights: str = Field("", description="weights of the codec: a run, a checkpoint folder or a file")
    codec_start: bool = Field(
        False,
        description="a new network's code embeddings and head start as the codec's entries; off as published",
    )
    code_noise: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the input codes replaced by wrong ones in training; 0 as published",
    )
    code_smoothing: float = Field(
        0.0, ge=0, description="share of a target given to codes that sound alike; 0 as published, 1 is much"
    )
    pace_start: float = Field(
        0.0,
        ge=0,
        description="code frames a text token lasts, about; the position tables of a new network start as sines that "
        "meet at this pace instead of random; 0 as published",
    )
    alignment_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the loss that makes one attention head follow the text; 0 as published",
    )
    text_weight: float = Field(0.1, ge=0, description="weight of the text loss beside the speech loss")
    text_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of utterances trained without their text, for guidance"
    )
    loss_chunk: int = Field(2048, gt=0, description="positions whose logits exist at a time in training")
    precision: Precision = Field(
        "fp32",
        description="least exact precision to decode in: fp32, bf16 or int8 (int8 on a CPU); rounder than fp32 only "
        "where this machine is faster that way",
    )
    draft: bool = Field(
        True,
        description="guess codes with 8-bit weights and check them with the exact ones, where that is faster: one "
        "sentence in fp32 on a CPU; the speech is the same, a quarter more memory is used",
    )
