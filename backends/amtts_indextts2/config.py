"""Settings and sizes of the IndexTTS2 GPT. Vocabulary size, text ids and speakers come from files, not from here."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from amtts_core.settings import Settings
from amtts_core.speech_lm.codebooks import CodeTables, DelayedCodebooks, SingleCodebook
from amtts_core.speech_lm.sampling import SamplingConfig
from amtts_core.speech_lm.settings import SpeechLmSettings

FEATURE_SIZE = 1024
"""Values of one conditioning frame: hidden state 17 of w2v-bert 2.0, standardized, 50 Hz."""
EMOTION_SIZE = 1024
"""Size of the emotion perceiver, fixed in the published model."""


class ConformerConfig(Settings):
    """A conformer over conditioning frames and the perceiver that reads it."""

    output_size: int = Field(512, gt=0, multiple_of=2, description="channels")
    linear_units: int = Field(2048, gt=0, description="inner size of a feed-forward layer")
    attention_heads: int = Field(8, gt=0, description="heads of conformer and perceiver")
    num_blocks: int = Field(6, gt=0, description="conformer blocks")
    perceiver_mult: float = Field(
        2.0, gt=0, description="inner over outer size of the perceiver, before the 2/3"
    )

    @model_validator(mode="after")
    def _plausible(self) -> ConformerConfig:
        if self.output_size % self.attention_heads:
            raise ValueError(
                f"output_size {self.output_size} does not divide by {self.attention_heads} heads"
            )
        return self


SPARE_ROWS = 3
"""Position rows beyond `max_mel_tokens`, as published: start, stop and one conditioning input."""


class SemanticHeadConfig(Settings):
    """One stream of codes, as released: MaskGCT's semantic codes at 50 Hz."""

    kind: Literal["semantic"] = Field("semantic", description="one code a step")
    num_codes: int = Field(8194, gt=2, description="codes with start and stop")
    start: int = Field(8192, ge=0, description="id before the first code")
    stop: int = Field(8193, ge=0, description="id that ends the speech")

    num_codebooks: ClassVar[int] = 1
    longest_delay: ClassVar[int] = 0
    all_weights: ClassVar[tuple[float, ...]] = (1.0,)
    codec_remedy: ClassVar[str] = (
        "Give --set 'model.head={{kind: semantic, num_codes: {rows}, start: {start}, stop: {stop}}}'"
    )

    @model_validator(mode="after")
    def _plausible(self) -> SemanticHeadConfig:
        if max(self.start, self.stop) >= self.num_codes or self.start == self.stop:
            raise ValueError(
                f"start {self.start} and stop {self.stop} must differ and lie below {self.num_codes}"
            )
        return self

    @property
    def cardinality(self) -> int:
        """Entries of the codebook."""
        return self.num_codes - 2

    def tables(self, *, dim: int, max_rows: int) -> CodeTables:
        """Embedding, positions and head of a new network."""
        return SingleCodebook(
            self.num_codes,
            num_codes=self.num_codes,
            start=self.start,
            end=self.stop,
            positions=max_rows + SPARE_ROWS,
            dim=dim,
        )


class DelayedHeadConfig(Settings):
    """K codebooks with a delay each, summed embeddings, parallel heads."""

    kind: Literal["dac"] = Field("dac", description="K codes a step, delayed")
    num_codebooks: int = Field(9, gt=0, description="codebooks K")
    cardinality: int = Field(1024, gt=1, description="entries of one codebook")
    delays: tuple[int, ...] = Field((), description="steps each codebook waits; empty takes 0, 1, 2, …")
    weights: tuple[float, ...] = Field((), description="loss weights; empty takes 4, 1, 1, …")

    codec_remedy: ClassVar[str] = "Give --set model.head.cardinality={codes}"

    @model_validator(mode="after")
    def _plausible(self) -> DelayedHeadConfig:
        for name, values in (("delays", self.delays), ("weights", self.weights)):
            if values and len(values) != self.num_codebooks:
                raise ValueError(f"{name} has {len(values)} values, expected {self.num_codebooks}")
        if self.delays and (self.delays[0] != 0 or min(self.delays) < 0):
            raise ValueError(f"delays {self.delays}: the first must be 0 and none negative")
        if self.weights and min(self.weights) <= 0:
            raise ValueError(f"weights {self.weights} must be positive")
        return self

    @property
    def all_delays(self) -> tuple[int, ...]:
        """One delay a codebook."""
        return self.delays or tuple(range(self.num_codebooks))

    @property
    def longest_delay(self) -> int:
        """Steps that the last codebook needs after the first."""
        return max(self.all_delays)

    @property
    def all_weights(self) -> tuple[float, ...]:
        """One loss weight a codebook."""
        return self.weights or (4.0, *[1.0] * (self.num_codebooks - 1))

    def tables(self, *, dim: int, max_rows: int) -> CodeTables:
        """Embedding, positions and head of a new network."""
        return DelayedCodebooks(
            self.num_codebooks,
            self.cardinality,
            delays=self.all_delays,
            positions=max_rows + SPARE_ROWS,
            dim=dim,
        )


class IndexTTS2Config(SpeechLmSettings):
    """The network."""

    model_dim: int = Field(1280, gt=0, description="channels of the transformer")
    layers: int = Field(24, gt=0, description="blocks of the transformer")
    heads: int = Field(20, gt=0, description="attention heads of the transformer")
    max_text_tokens: int = Field(600, gt=0, description="text tokens of one utterance")
    max_mel_tokens: int = Field(1815, gt=0, description="code frames of one utterance")
    num_latents: int = Field(32, gt=0, description="vectors of a speaker before the text")
    conditioning: Literal["conformers", "table"] = Field(
        "conformers", description="speaker from w2v-bert features, or from a learned table of speakers"
    )
    conditioner_training: Literal["frozen", "trained"] = Field(
        "frozen",
        description="whether the encoders of w2v-bert features learn; frozen ones encode every clip once, see "
        "training.optim.rates.speaker_encoder",
    )
    voice_model: str = Field(
        "facebook/w2v-bert-2.0",
        description="w2v-bert whose features the encoders read: its folder or name at Hugging Face",
    )
    voice_statistics: str = Field(
        "",
        description="wav2vec2bert_stats.pt of IndexTTS2, by which its features are standardized; none leaves them "
        "as they are",
    )
    voice_clip: str = Field(
        "",
        description="recording whose voice is spoken with, through voice_model; empty takes the speaker's own",
    )
    voice_layer: int = Field(17, gt=0, description="layers of it that a clip goes through; 17 as published")
    speaker: ConformerConfig = Field(default_factory=ConformerConfig, description="speaker encoder")
    emotion: ConformerConfig = Field(
        default_factory=lambda: ConformerConfig(linear_units=1024, attention_heads=4, num_blocks=4),
        description="emotion encoder",
    )
    head: SemanticHeadConfig | DelayedHeadConfig = Field(
        default_factory=SemanticHeadConfig, discriminator="kind", description="what it speaks in"
    )
    codec: str = Field("dac", description="codec whose codes it learns, see amtts encode-codes")
    sampling: SamplingConfig = Field(
        default_factory=lambda: SamplingConfig(temperature=0.9, top_k=50), description="how codes are drawn"
    )
    position_skip: bool | None = Field(
        None,
        description="speak with the second position left out, as the released decoder does; null: only with released "
        "weights that no training has changed",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of the transformer in training")
    free_length: float = Field(
        0.3, ge=0, le=1, description="share of utterances trained without a wanted length"
    )

    @model_validator(mode="after")
    def _plausible(self) -> IndexTTS2Config:
        if self.model_dim % self.heads:
            raise ValueError(f"model_dim {self.model_dim} does not divide by {self.heads} heads")
        return self

    @property
    def most_frames(self) -> int:
        """Code frames of the longest utterance: the steps that are left once every codebook has its delay."""
        return self.max_mel_tokens - self.head.longest_delay


PRESETS: dict[str, dict[str, Any]] = {
    "base": {
        "model_dim": 512,
        "layers": 12,
        "heads": 8,
        "max_text_tokens": 400,
        "num_latents": 8,
        "conditioning": "table",
        "head": {"kind": "dac", "num_codebooks": 8},
    },
    "small": {
        "model_dim": 192,
        "layers": 6,
        "heads": 4,
        "max_text_tokens": 400,
        "max_mel_tokens": 800,
        "num_latents": 2,
        "conditioning": "table",
        "codec": "mel-codes",
        "head": {"kind": "semantic", "num_codes": 1026, "start": 1024, "stop": 1025},
        "dropout": 0.0,
        "code_noise": 0.25,
        "code_smoothing": 0.5,
        "codec_start": True,
        "pace_start": 2.3,
        "alignment_weight": 0.1,
        "sampling": {"temperature": 0.3, "guidance_scale": 2.0, "guided_draw": True},
    },
    "tiny": {
        "model_dim": 64,
        "layers": 2,
        "heads": 4,
        "max_text_tokens": 100,
        "max_mel_tokens": 400,
        "num_latents": 2,
        "conditioning": "table",
        "codec": "mel-codes",
        "head": {"kind": "dac", "num_codebooks": 1, "cardinality": 1024},
        "dropout": 0.0,
    },
    "official": {},
}


def config_of_released(values: dict[str, Any]) -> tuple[IndexTTS2Config, int]:
    """Our configuration and the number of text tokens, from the `gpt` section of a released config.yaml.

    Raises:
        ValueError: the section describes another network (train_solo_embeddings, another condition type).
    """
    if values.get("train_solo_embeddings") or not values.get("use_mel_codes_as_input", True):
        raise ValueError("only models whose inputs are codes are known")
    if values.get("condition_type", "conformer_perceiver") != "conformer_perceiver":
        raise ValueError(
            f"condition_type '{values['condition_type']}' is unknown, expected conformer_perceiver"
        )
    parts = {"speaker": "condition_module", "emotion": "emo_condition_module"}
    conformers = {
        ours: {key: values[theirs][key] for key in ConformerConfig.model_fields if key in values[theirs]}
        for ours, theirs in parts.items()
    }
    config = IndexTTS2Config.model_validate(
        {
            **{
                key: values[key]
                for key in ("model_dim", "layers", "heads", "max_mel_tokens", "max_text_tokens")
            },
            **conformers,
            "num_latents": values.get("condition_num_latent", 32),
            "head": {
                "kind": "semantic",
                "num_codes": values["number_mel_codes"],
                "start": values["start_mel_token"],
                "stop": values["stop_mel_token"],
            },
        }
    )
    return config, int(values["number_text_tokens"])
