"""How S3Gen speaks."""

from __future__ import annotations

from pydantic import Field

from amtts_core.settings import Settings

GUIDANCE = 0.7
"""As published."""


class S3SpeakingConfig(Settings):
    """Settings of speech through S3Gen; the weights are the codec's."""

    steps: int = Field(
        0, ge=0, description="steps of the flow; 0 takes 10, or 2 of mean-flow weights, as published"
    )
    guidance: float = Field(
        GUIDANCE,
        ge=0,
        description="pull of the flow towards codes and voice; 0 halves its cost; no use with mean flow",
    )
    reference_seconds: float = Field(
        5.0,
        ge=1,
        le=10,
        description="seconds of a recording that the flow is prompted with; every step pays for them",
    )
    bf16: bool = Field(
        False,
        description="let the flow run in bfloat16 where that is faster (GPUs, processors with units for it)",
    )
    watermark: bool = Field(
        False,
        description="mark all speech with PerTh, as the original does; needs the package resemble-perth",
    )
