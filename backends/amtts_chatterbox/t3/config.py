"""Settings and sizes of T3, and the published ones as presets.

The number of text tokens is no setting: it is that of the tokenizer (or of a file of weights). What a checkpoint
*is*, such as multilingual, is a field of its own and never read off a size.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_core.settings import Settings
from amtts_core.speech_lm.sampling import SamplingConfig
from amtts_core.speech_lm.settings import SpeechLmSettings


class RopeConfig(Settings):
    """Rotary positions with the frequency scaling of Llama 3; `factor` 1 switches the scaling off."""

    theta: float = Field(500_000.0, gt=1, description="base of the rotation frequencies")
    factor: float = Field(8.0, ge=1, description="low frequencies are divided by this")
    low_freq_factor: float = Field(
        1.0, gt=0, description="wavelengths above original_positions / this are divided"
    )
    high_freq_factor: float = Field(
        4.0, gt=0, description="wavelengths below original_positions / this stay as they are"
    )
    original_positions: int = Field(8192, gt=0, description="positions of the unscaled model")

    @model_validator(mode="after")
    def _ordered(self) -> RopeConfig:
        if self.high_freq_factor <= self.low_freq_factor:
            raise ValueError(
                f"high_freq_factor {self.high_freq_factor:g} must exceed "
                f"low_freq_factor {self.low_freq_factor:g}"
            )
        return self


class T3SamplingConfig(SamplingConfig):
    """How speech tokens are drawn; the defaults are those of the released multilingual sampler."""

    temperature: float = Field(
        0.8, ge=0, description="flattens the distribution; 0 takes the likeliest token"
    )
    guidance_scale: float = Field(
        1.5,
        ge=1,
        description="classifier-free guidance by the text; 1 skips the rows without text (cfg_weight plus 1)",
    )
    guidance_top_k: int = Field(0, ge=0, description="tokens that guidance lets through; 0 lets all through")
    guided_draw: bool = Field(
        True, description="the draw follows guidance; false: only the choice of candidates does"
    )
    repetition_penalty: float = Field(
        1.2, ge=1, description="divides the logits of tokens already spoken; 1 is off"
    )
    min_p: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="tokens below this times the probability of the likeliest one are dropped",
    )
    max_tokens: int = Field(1000, gt=0, description="speech tokens of one utterance at most")
    least_per_symbol: float = Field(
        0.4, ge=0, description="speech tokens a text token needs, or the utterance is tried again"
    )
    most_per_symbol: float = Field(
        16.0, gt=0, description="speech tokens a text token may take; bounds the length"
    )


class T3Config(SpeechLmSettings):
    """The network of T3. Speech ids: codes from 0, then start and end, then rows that nothing uses."""

    multilingual: bool = Field(
        True, description="text begins with a language tag (published 23-language weights)"
    )
    hidden: int = Field(1024, gt=0, description="channels D")
    intermediate: int = Field(4096, gt=0, description="inner channels of the gated feed-forward")
    layers: int = Field(30, gt=0, description="transformer blocks")
    heads: int = Field(16, gt=0, description="attention heads")
    head_dim: int = Field(64, gt=0, multiple_of=2, description="channels of one head")
    norm_eps: float = Field(1e-5, gt=0, description="added to the mean square in RMSNorm")
    rope: RopeConfig = Field(default_factory=RopeConfig, description="rotary positions")
    text_positions: int = Field(2050, gt=2, description="rows of the text position table")
    speech_positions: int = Field(4100, gt=2, description="rows of the speech position table")
    speech_codes: int = Field(6561, gt=0, description="entries of the speech codec's codebook")
    speech_rows: int = Field(8194, gt=2, description="rows of the speech embedding and head")
    start_speech: int = Field(6561, ge=0, description="id that starts speech")
    stop_speech: int = Field(6562, ge=0, description="id that ends speech")
    start_tokens: int = Field(
        2,
        ge=1,
        le=2,
        description="starts before speech, in training and speaking alike; stock Chatterbox feeds 2",
    )
    speaker_size: int = Field(256, gt=0, description="channels of the speaker vector")
    perceiver_queries: int = Field(32, gt=0, description="vectors a prompt is condensed into")
    perceiver_heads: int = Field(4, gt=0, description="attention heads of the perceiver")
    perceiver_dropout: float = Field(
        0.2, ge=0, lt=1, description="dropout of its attention weights in training"
    )
    prompt_tokens: int = Field(150, gt=0, description="longest speech prompt, tokens")
    emotion: float = Field(
        0.5, ge=0, description="exaggeration that is spoken with; published weights were trained on 0 to 2"
    )
    text_dropout: float = Field(
        0.15, ge=0, lt=1, description="share of utterances trained without their text, for guidance"
    )
    voice_dropout: float = Field(0.1, ge=0, lt=1, description="share of utterances trained without a prompt")
    row_tokens: int = Field(
        0, ge=0, description="pack several utterances into rows of this length; 0 packs none"
    )
    voice_encoder: str = Field(
        "", description="ve.safetensors for speaker vectors; empty gives each speaker a fixed one"
    )
    voice_clip: str = Field(
        "",
        description="who speaks, with codec s3: a recording, or conds.pt of Chatterbox; empty takes the built-in one",
    )
    s3gen: S3SpeakingConfig = Field(
        default_factory=S3SpeakingConfig, description="how codes of codec s3 become sound"
    )
    sampling: T3SamplingConfig = Field(default_factory=T3SamplingConfig, description="how speech is drawn")

    @model_validator(mode="after")
    def _consistent(self) -> T3Config:
        if self.hidden % self.perceiver_heads:
            raise ValueError(
                f"hidden {self.hidden} is not a multiple of perceiver_heads {self.perceiver_heads}"
            )
        for name in ("start_speech", "stop_speech"):
            value = getattr(self, name)
            if not self.speech_codes <= value < self.speech_rows:
                raise ValueError(
                    f"{name} {value} must lie after the {self.speech_codes} codes and within "
                    f"the {self.speech_rows} rows"
                )
        if self.start_speech == self.stop_speech:
            raise ValueError(f"start_speech and stop_speech are both {self.start_speech}")
        if self.prompt_tokens > self.speech_positions:
            raise ValueError(
                f"prompt_tokens {self.prompt_tokens} exceed speech_positions {self.speech_positions}"
            )
        return self


OWN: dict[str, Any] = {"start_tokens": 1, "multilingual": False, "perceiver_dropout": 0.0}
"""What networks trained from scratch here have in common: one start token, no language tag."""

PRESETS: dict[str, dict[str, Any]] = {
    "base": {
        **OWN,
        "hidden": 512,
        "intermediate": 1408,
        "layers": 10,
        "heads": 8,
        "head_dim": 64,
    },
    "small": {
        **OWN,
        "hidden": 192,
        "intermediate": 512,
        "layers": 5,
        "heads": 4,
        "head_dim": 48,
        "perceiver_queries": 4,
        "prompt_tokens": 64,
        "text_positions": 402,
        "speech_positions": 802,
        "text_dropout": 0.1,
        "code_noise": 0.25,
        "code_smoothing": 0.5,
        "codec_start": True,
        "pace_start": 2.3,
        "alignment_weight": 0.1,
        "sampling": {"temperature": 0.4, "repetition_penalty": 1.0},
    },
    "tiny": {
        **OWN,
        "hidden": 64,
        "intermediate": 160,
        "layers": 2,
        "heads": 4,
        "head_dim": 16,
        "text_positions": 258,
        "speech_positions": 516,
    },
    "official": {"multilingual": True},
    "official_english": {"multilingual": False},
}
"""`base` has about 40 million parameters, the official ones 536 million."""

OFFICIAL_TEXT_ROWS = {"official": 2454, "official_english": 704}
"""Text tokens of the published weights."""
