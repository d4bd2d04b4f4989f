"""Settings and sizes of the T3 of Chatterbox Turbo and Nano, and the published ones as presets."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_core.settings import Settings
from amtts_core.speech_lm.sampling import Processor, SamplingConfig
from amtts_core.speech_lm.settings import SpeechLmSettings

ORDER: tuple[Processor, ...] = ("guidance", "temperature", "top_k", "min_p", "top_p", "repetition_penalty")
"""As released: the penalty comes last, over what the others have left."""


class TurboSamplingConfig(SamplingConfig):
    """How speech tokens are drawn; the defaults are those of the released sampler."""

    temperature: float = Field(
        0.8, ge=0, description="flattens the distribution; 0 takes the likeliest token"
    )
    top_k: int = Field(1000, ge=0, description="likeliest tokens kept; 0 keeps all")
    top_p: float = Field(0.95, gt=0, le=1, description="smallest set of tokens of this probability is kept")
    repetition_penalty: float = Field(
        1.2, ge=1, description="divides the logits of tokens already spoken; 1 is off"
    )
    guidance_top_k: int = Field(0, ge=0, description="tokens that guidance lets through; 0 lets all through")
    guided_draw: bool = Field(True, description="the draw follows guidance, where it is on")
    order: tuple[Processor, ...] = Field(ORDER, description="in which processors apply")
    max_tokens: int = Field(1000, gt=0, description="speech tokens of one utterance at most")
    least_per_symbol: float = Field(
        0.4, ge=0, description="speech tokens a text token needs, or the utterance is tried again"
    )
    most_per_symbol: float = Field(
        40.0, gt=0, description="speech tokens a text token may take; bounds the length"
    )


class TurboConfig(SpeechLmSettings, Settings):
    """The network: GPT-2 over speaker, prompt, text and speech tokens; no perceiver, no emotion, no guidance."""

    hidden: int = Field(1024, gt=0, description="channels D")
    layers: int = Field(24, gt=0, description="transformer blocks")
    heads: int = Field(16, gt=0, description="attention heads")
    norm_eps: float = Field(1e-5, gt=0, description="added to the variance in LayerNorm")
    positions: int = Field(8196, gt=4, description="rows of the position table, which everything shares")
    speech_codes: int = Field(6561, gt=0, description="entries of the speech codec's codebook")
    speech_rows: int = Field(6563, gt=2, description="rows of the speech embedding and head")
    start_speech: int = Field(6561, ge=0, description="id that starts speech")
    stop_speech: int = Field(6562, ge=0, description="id that ends speech")
    start_tokens: int = Field(1, ge=1, le=1, description="starts before speech; one, as published")
    speaker_size: int = Field(256, gt=0, description="channels of the speaker vector")
    prompt_tokens: int = Field(375, gt=0, description="longest speech prompt, tokens")
    unused_rows: int = Field(
        50276,
        gt=0,
        description="rows of the published word table that nothing reads; written as zeros in an export",
    )
    emotion: float = Field(0.0, ge=0, description="without effect; kept for files of voices")
    text_dropout: float = Field(0.0, ge=0, lt=1, description="share of utterances trained without their text")
    voice_dropout: float = Field(0.1, ge=0, lt=1, description="share of utterances trained without a prompt")
    row_tokens: int = Field(
        0, ge=0, description="pack several utterances into rows of this length; 0 packs none"
    )
    silence: bool = Field(
        True, description="end speech with three tokens of silence, as released, with codec s3"
    )
    voice_encoder: str = Field(
        "", description="ve.safetensors for speaker vectors; empty gives each speaker a fixed one"
    )
    voice_clip: str = Field(
        "",
        description="who speaks, with codec s3: a recording, or conds.pt; empty takes the built-in one",
    )
    s3gen: S3SpeakingConfig = Field(
        default_factory=S3SpeakingConfig, description="how codes of codec s3 become sound"
    )
    sampling: TurboSamplingConfig = Field(
        default_factory=TurboSamplingConfig, description="how speech is drawn"
    )

    @model_validator(mode="after")
    def _consistent(self) -> TurboConfig:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        for name in ("start_speech", "stop_speech"):
            value = getattr(self, name)
            if not self.speech_codes <= value < self.speech_rows:
                raise ValueError(
                    f"{name} {value} must lie after the {self.speech_codes} codes and within "
                    f"the {self.speech_rows} rows"
                )
        if self.start_speech == self.stop_speech:
            raise ValueError(f"start_speech and stop_speech are both {self.start_speech}")
        if self.prompt_tokens + 3 > self.positions:
            raise ValueError(
                f"prompt_tokens {self.prompt_tokens} leave no room in {self.positions} positions"
            )
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "turbo": {},
    "nano": {"hidden": 768, "layers": 12, "heads": 12},
    "tiny": {"hidden": 64, "layers": 2, "heads": 4, "positions": 700, "prompt_tokens": 64, "unused_rows": 8},
}
"""`turbo` has 350 million weights (GPT-2 medium), `nano` 110 million (GPT-2 small)."""
