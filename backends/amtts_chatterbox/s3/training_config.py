"""Settings and sizes of S3Gen where its flow is trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from amtts_chatterbox.s3.weights import S3Sizes
from amtts_core.settings import Settings


class S3GenConfig(Settings):
    """The network of S3Gen, and how its flow learns. Sizes come from the weights that a run starts from."""

    codec_weights: str = Field(
        "",
        description="published S3Gen file (or its folder) whose tokenizer and x-vectors the flow learns from",
    )
    condition_dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of utterances learned without codes, voice and prompt, for guidance",
    )
    prompt_share: float = Field(
        0.5, ge=0, le=1, description="share of utterances that begin with a prompt of their own mel"
    )
    longest_prompt: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="longest prompt, as a share of the utterance; its frames count in the loss as well",
    )
    train_encoder: bool = Field(
        True, description="train the encoder of the codes too, not the estimator alone"
    )
    tokenizer_width: int = Field(1280, gt=0, multiple_of=64, description="channels of the tokenizer")
    tokenizer_layers: int = Field(6, gt=0, description="blocks of the tokenizer")
    speaker_width: int = Field(128, gt=0, description="channels of CAMPPlus before its dense blocks")
    speaker_growth: int = Field(32, gt=0, description="channels that a dense layer of CAMPPlus adds")
    speaker_bottleneck: int = Field(128, gt=1, description="channels inside a dense layer of CAMPPlus")
    encoder_width: int = Field(512, gt=0, description="channels of the flow's encoder")
    encoder_heads: int = Field(8, gt=0, description="attention heads of the flow's encoder")
    encoder_inner: int = Field(2048, gt=0, description="inner channels of the encoder's feed-forward")
    encoder_layers: int = Field(6, gt=0, description="layers of the encoder before upsampling")
    channels: int = Field(256, gt=0, description="channels of the estimator")
    heads: int = Field(8, gt=0, description="attention heads of the estimator")
    head_size: int = Field(64, gt=0, description="channels of one head of the estimator")
    blocks: int = Field(4, gt=0, description="transformer blocks of a stage of the estimator")
    middle: int = Field(12, ge=0, description="stages of the estimator between the first and the last")
    vocoder_channels: int = Field(512, gt=0, multiple_of=8, description="channels of the vocoder")
    pitch_channels: int = Field(512, gt=0, description="channels of the vocoder's pitch predictor")

    @property
    def sizes(self) -> S3Sizes:
        """Of the network."""
        return S3Sizes(**{name: getattr(self, name) for name in asdict(S3Sizes()) if name != "mean_flow"})


def sizes_as_settings(sizes: S3Sizes) -> dict[str, Any]:
    """Settings of a network with these sizes."""
    return {name: value for name, value in asdict(sizes).items() if name != "mean_flow"}


PRESETS: dict[str, dict[str, Any]] = {
    "published": {},
    "tiny": {
        "tokenizer_width": 64,
        "tokenizer_layers": 1,
        "speaker_width": 16,
        "speaker_growth": 4,
        "speaker_bottleneck": 8,
        "encoder_width": 32,
        "encoder_heads": 2,
        "encoder_inner": 48,
        "encoder_layers": 2,
        "channels": 32,
        "heads": 1,
        "head_size": 64,
        "blocks": 1,
        "middle": 2,
        "vocoder_channels": 40,
        "pitch_channels": 24,
    },
}
