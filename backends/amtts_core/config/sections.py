"""Settings of data and training loop, the same for every backend."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from amtts_core.settings import Settings


class ReplayConfig(Settings):
    """Data of an earlier training mixed in, against forgetting."""

    data: str = Field("", description="prepared corpus to mix in; empty mixes nothing in")
    ratio: float = Field(0.2, ge=0, lt=1, description="share of an epoch's utterances that comes from it")
    codes: str = Field("", description="its folder of `amtts encode-codes`; empty makes codes from its audio")


class DataConfig(Settings):
    """How utterances become batches."""

    batch_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="seconds of audio of one batch, padding included"
    )
    max_utterances: int = Field(64, gt=0, description="utterances of one batch at most")
    max_samples: int = Field(0, ge=0, description="use only the first N training utterances; 0 uses all")
    overfit: int = Field(
        0,
        ge=0,
        description="overfit the first N utterances and validate on them: a sanity check, no usable model; 0 is off",
    )
    max_excluded: float = Field(
        0.02,
        ge=0,
        le=1,
        description="share of utterances that may be unreadable before training refuses to start",
    )
    cache: str = Field("", description="folder of precomputed features; empty puts it beside the manifest")
    codes: str = Field(
        "", description="folder of `amtts encode-codes` to train on; empty makes the codes from the audio"
    )
    mels_from: str = Field(
        "", description="voice whose predicted mels a vocoder learns from; empty takes the recordings' own"
    )
    replay: ReplayConfig = Field(default_factory=ReplayConfig, description="old data against forgetting")


class RatesConfig(Settings):
    """Learning rates of parts, as factors of `learning_rate`; one needs a text vocabulary, the others do not."""

    new_tokens: float = Field(
        1.0, ge=0, description="text embeddings of new tokens, or all where none is new"
    )
    old_tokens: float = Field(
        1.0, ge=0, description="embeddings and output weights of the tokens from before"
    )
    heads: float = Field(1.0, ge=0, description="heads that predict text")
    speaker_encoder: float = Field(1.0, ge=0, description="encoders of reference audio, where trained")
    other: float = Field(1.0, ge=0, description="everything else, adapters too")


class OptimConfig(Settings):
    """Optimizer and schedule, the same for every phase unless the backend says otherwise."""

    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW moment decay")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay; norms and biases have none")
    schedule: Literal["cosine", "linear", "exponential", "inverse-sqrt", "plateau", "constant"] = Field(
        "cosine",
        description="decay after the warm-up; plateau lowers the rate when training.best_by stops falling",
    )
    plateau_patience: int = Field(3, gt=0, description="validations without progress before plateau acts")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="what plateau multiplies the rate with")
    warmup_steps: int = Field(100, ge=0, description="steps from 0 to the peak")
    final_ratio: float = Field(
        0.02,
        ge=0,
        le=1,
        description="last learning rate over the peak; inverse-sqrt and plateau stay above it",
    )
    clip_norm: float = Field(1.0, ge=0, description="largest gradient norm; 0 does not clip")
    rates: RatesConfig = Field(default_factory=RatesConfig, description="learning rates of parts")


TrainingType = Literal["full", "lora", "lora+new-tokens", "embeddings-only"]


class LoraConfig(Settings):
    """Low-rank adapters, for the types `lora` and `lora+new-tokens`."""

    rank: int = Field(16, gt=0, description="inner size of an adapter")
    alpha: float = Field(32.0, gt=0, description="an adapter's output is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout of an adapter's input")
    targets: tuple[str, ...] = Field(
        (), description="ends of layer names, or regular expressions; empty takes the backend's own"
    )


class FreezeConfig(Settings):
    """What stays as it is, bit for bit."""

    original_tokens: bool = Field(
        False, description="freeze the text embeddings of all tokens that `amtts extend-vocab` did not add"
    )
    modules: tuple[str, ...] = Field((), description="names of modules or parameters to freeze")
    until: int = Field(0, ge=0, description="step from which `modules` are trained too; 0 never")

    @model_validator(mode="after")
    def _of_something(self) -> FreezeConfig:
        if self.until and not self.modules:
            raise ValueError(f"until is {self.until} and modules names nothing that could wait for it")
        return self


class GuardConfig(Settings):
    """Measures how much of the old languages is forgotten, at every validation."""

    old_text: str = Field(
        "", description="file with texts of the old languages, a line each; empty scores none"
    )
    old_data: str = Field(
        "", description="prepared corpus of the old languages, whose speech is scored; empty scores none"
    )
    limit: float = Field(
        0.0, ge=0, description="stop when either score rose by more nats per token; 0 only logs them"
    )


class SpeechCheckConfig(Settings):
    """Speaks a few texts at every validation and lets a recognizer read them."""

    METRICS: ClassVar[tuple[str, ...]] = ("val/speech/cer", "val/speech/words_wrong", "val/speech/similarity")
    LARGER_IS_BETTER: ClassVar[frozenset[str]] = frozenset({"val/speech/similarity"})

    recognizer: str = Field(
        "",
        description="ctc, or a recognizer as `amtts evaluate --recognizer` takes it; empty checks nothing",
    )
    texts: tuple[str, ...] = Field((), description="what is spoken; empty takes some of the validation set")
    count: int = Field(6, gt=0, description="texts of the validation set")


class TrainingConfig(Settings):
    """The training loop; the same for every backend."""

    type: TrainingType = Field(
        "full", description="what is trained: full, lora, lora+new-tokens or embeddings-only"
    )
    lora: LoraConfig = Field(default_factory=LoraConfig, description="adapters of the types with lora")
    freeze: FreezeConfig = Field(default_factory=FreezeConfig, description="what stays as it is")
    guard: GuardConfig = Field(default_factory=GuardConfig, description="scores of the old languages")

    seed: int = Field(1234, ge=0, lt=2**63, description="of initialization, batch order and dropout")
    max_steps: int = Field(1000, ge=0, description="optimizer steps; 0 leaves the end to max_epochs")
    max_epochs: int = Field(0, ge=0, description="passes over the data; 0 leaves the end to max_steps")
    accumulate: int = Field(1, gt=0, description="batches per optimizer step")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="autocast precision")
    gradient_checkpointing: bool = Field(
        False, description="compute blocks again in the backward pass: less memory, about a third more time"
    )
    compile: Literal["off", "inductor", "aot_eager", "eager"] = Field(
        "off", description="torch.compile of the blocks; the last two are for finding faults"
    )
    shard: bool = Field(
        False, description="split the network over the processes of torchrun (FSDP2): less memory in each"
    )
    optim: OptimConfig = Field(default_factory=OptimConfig, description="optimizer and schedule")
    validate_every: int = Field(200, gt=0, description="steps between validations")
    save_every: int = Field(200, gt=0, description="steps between checkpoints")
    keep: int = Field(2, gt=0, description="checkpoints kept besides the best one")
    log_every: int = Field(10, gt=0, description="steps between log lines")
    sample_every: int = Field(200, ge=0, description="steps between synthesized samples; 0 makes none")
    sample_texts: tuple[str, ...] = Field(
        ("ሰላም ለዓለም።",), description="sentences synthesized during training, as written by a person"
    )
    speech_check: SpeechCheckConfig = Field(
        default_factory=SpeechCheckConfig, description="errors in what the voice says, as a metric"
    )
    best_by: str = Field(
        "val/total",
        description="metric that is smallest at the best checkpoint (val/speech/similarity: largest); checked before "
        "the first step",
    )
    patience: int = Field(0, ge=0, description="validations without progress before stopping; 0 never stops")
    min_epochs: int = Field(0, ge=0, description="no early stop before so many epochs")
    min_delta: float = Field(0.0, ge=0, description="progress smaller than this does not count")
    max_bad_batches: int = Field(
        3, ge=0, description="batches in a row with a loss that is not finite, before the run stops"
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the average of the weights that checkpoints hold; 0 keeps no average",
    )
    tensorboard: bool = Field(True, description="write TensorBoard events into the run folder")
    wandb: Literal["off", "offline", "online"] = Field(
        "off", description="log to Weights & Biases; offline sends nothing, only online does"
    )
    threads: int = Field(0, ge=0, description="CPU threads of torch; 0 keeps torch's own choice")
