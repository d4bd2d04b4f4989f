"""Run configuration: validated all at once, unknown keys refused with the nearest name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticUndefined

from amtts_core.backend import Backend, BackendSpec
from amtts_core.errors import ConfigError, nearest
from amtts_core.registry import backend_names, get_backend


class Settings(BaseModel):
    """Base of every configuration section: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplayConfig(Settings):
    """Data of an earlier training mixed in, so that what was learnt from it is not lost."""

    data: str = Field("", description="prepared corpus to mix in; empty mixes nothing in")
    ratio: float = Field(0.2, ge=0, lt=1, description="share of an epoch's utterances that comes from it")
    codes: str = Field("", description="its folder of `amtts encode-codes`; empty makes codes from its audio")


class DataConfig(Settings):
    """How utterances become batches."""

    batch_frames: int = Field(4000, gt=0, description="frames of one batch, padding included")
    max_utterances: int = Field(64, gt=0, description="utterances of one batch at most")
    max_samples: int = Field(0, ge=0, description="use only the first N training utterances; 0 uses all")
    overfit: int = Field(
        0,
        ge=0,
        description="learn only the first N by heart and validate on them: a check, no voice; 0 is off",
    )
    max_excluded: float = Field(
        0.02,
        ge=0,
        le=1,
        description="share of utterances that may be unreadable before training refuses to start",
    )
    cache: str = Field("", description="folder of precomputed features; empty puts it beside the manifest")
    codes: str = Field(
        "", description="folder of `amtts encode-codes` to learn from; empty makes the codes from the audio"
    )
    replay: ReplayConfig = Field(default_factory=ReplayConfig, description="old data against forgetting")


class RatesConfig(Settings):
    """Learning rates of parts, as factors of `learning_rate`; one needs a text vocabulary, the others do not."""

    new_rows: float = Field(
        1.0, ge=0, description="text embeddings: the rows of new tokens, or all without such"
    )
    old_rows: float = Field(
        1.0, ge=0, description="rows of tokens that were there before, embeddings and heads"
    )
    heads: float = Field(1.0, ge=0, description="heads that predict text")
    conditioners: float = Field(
        1.0, ge=0, description="encoders that hear another clip of the speaker, where they learn"
    )
    trunk: float = Field(1.0, ge=0, description="everything else, adapters too")


class OptimConfig(Settings):
    """Optimiser and schedule, the same for every phase unless the backend says otherwise."""

    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW moment decay")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay; norms and biases have none")
    schedule: Literal["cosine", "linear", "exponential", "inverse-sqrt", "plateau", "constant"] = Field(
        "cosine", description="decay after the warm-up; plateau waits for training.best_by to stand still"
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


TrainingType = Literal["full", "lora", "lora+new-rows", "embeddings-only"]


class LoraConfig(Settings):
    """Low-rank adapters, for the types `lora` and `lora+new-rows`."""

    rank: int = Field(16, gt=0, description="inner size of an adapter")
    alpha: float = Field(32.0, gt=0, description="an adapter's output is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout of an adapter's input")
    targets: tuple[str, ...] = Field(
        (), description="ends of layer names, or regular expressions; empty takes the backend's own"
    )


class FreezeConfig(Settings):
    """What stays as it is, bit for bit."""

    original_text_rows: bool = Field(
        False, description="freeze the text rows of all tokens that `amtts extend-vocab` did not add"
    )
    modules: tuple[str, ...] = Field((), description="names of modules or parameters to freeze")
    until: int = Field(0, ge=0, description="step from which `modules` learn as well; 0 never")

    @model_validator(mode="after")
    def _of_something(self) -> FreezeConfig:
        if self.until and not self.modules:
            raise ValueError(f"until is {self.until} and modules names nothing that could wait for it")
        return self


class GuardConfig(Settings):
    """Watches what the old languages lose, at every validation."""

    old_text: str = Field(
        "", description="file with texts of the old languages, a line each; empty watches none"
    )
    old_data: str = Field(
        "", description="prepared corpus of the old languages, whose speech is scored; empty watches none"
    )
    limit: float = Field(
        0.0, ge=0, description="stop when either score rose by more nats per token; 0 only logs them"
    )


class TrainingConfig(Settings):
    """The training loop; the same for every backend."""

    type: TrainingType = Field(
        "full", description="what learns: full, lora, lora+new-rows or embeddings-only"
    )
    lora: LoraConfig = Field(default_factory=LoraConfig, description="adapters of the types with lora")
    freeze: FreezeConfig = Field(default_factory=FreezeConfig, description="what stays as it is")
    guard: GuardConfig = Field(default_factory=GuardConfig, description="what the old languages lose")

    seed: int = Field(1234, ge=0, lt=2**63, description="of initialisation, batch order and dropout")
    max_steps: int = Field(1000, ge=0, description="optimiser steps; 0 leaves the end to max_epochs")
    max_epochs: int = Field(0, ge=0, description="passes over the data; 0 leaves the end to max_steps")
    accumulate: int = Field(1, gt=0, description="batches per optimiser step")
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
    optim: OptimConfig = Field(default_factory=OptimConfig, description="optimiser and schedule")
    validate_every: int = Field(200, gt=0, description="steps between validations")
    save_every: int = Field(200, gt=0, description="steps between checkpoints")
    keep: int = Field(2, gt=0, description="checkpoints kept besides the best one")
    log_every: int = Field(10, gt=0, description="steps between log lines")
    sample_every: int = Field(200, ge=0, description="steps between spoken samples; 0 speaks none")
    sample_texts: tuple[str, ...] = Field(
        ("ሰላም ለዓለም።",), description="sentences spoken during training, as written by a person"
    )
    best_by: str = Field(
        "val/total",
        description="metric that is smallest at the best checkpoint; checked before the first step",
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
        description="average the weights with this decay, and speak with the average; 0 does not",
    )
    tensorboard: bool = Field(True, description="write TensorBoard events into the run folder")
    wandb: Literal["off", "offline", "online"] = Field(
        "off", description="log to Weights & Biases; offline sends nothing, only online does"
    )
    threads: int = Field(0, ge=0, description="CPU threads of torch; 0 keeps torch's own choice")


class RunConfig(Settings):
    """All of a run: which backend, its network, the data and the loop."""

    backend: str = Field(description="name of the backend, see `amtts backends`")
    preset: str = Field("", description="named size of the network; empty takes the backend's first")
    model: dict[str, Any] = Field(default_factory=dict, description="settings of the network")
    data: DataConfig = Field(default_factory=DataConfig, description="batches")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="the loop")

    def model_config_of(self, spec: BackendSpec) -> Any:
        """The validated network settings."""
        return spec.config.model_validate(self.model)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` on top, section by section; a section of another `kind` replaces the old one."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            other = "kind" in value and value["kind"] != below.get("kind", value["kind"])
            out[key] = dict(value) if other else merged(below, value)
        else:
            out[key] = value
    return out


def faults_of(section: type[BaseModel], values: object, prefix: str = "") -> Iterator[str]:
    """One sentence per fault of `values`, with the nearest valid name for unknown keys."""
    try:
        section.model_validate(values)
    except ValidationError as error:
        for fault in error.errors():
            where = prefix + ".".join(str(part) for part in fault["loc"])
            if fault["type"] == "extra_forbidden":
                known = _known_keys(section, fault["loc"][:-1])
                yield f"{where}: unknown key{nearest(str(fault['loc'][-1]), known)}"
            elif fault["type"] == "missing":
                yield f"{where}: missing"
            else:
                yield f"{where}: {fault['msg']}, got {_shown(fault['input'])}"


def _shown(value: object) -> str:
    """A value as a person would write it in the file, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # a date, a set, a key that is no string
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(section: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = section.model_fields.get(str(part))
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return []
        section = field.annotation
    return list(section.model_fields)


def resolve_config(
    values: Mapping[str, Any], *, overrides: Mapping[str, Any] | None = None, source: str = "configuration"
) -> tuple[RunConfig, type[Backend]]:
    """Fills in the backend's defaults and preset and validates everything at once.

    Args:
        values: as read from a file; may be partial.
        overrides: nested values that win over `values` (command-line options).
        source: named in errors.

    Raises:
        ConfigError: lists every fault, an unknown backend among them.
        AmttsError: the backend cannot be imported.
    """
    values = merged(values, overrides or {})
    backend, faults = _chosen_backend(values)
    if backend is not None:
        values, preset_faults = _with_defaults(values, backend.spec)
        faults += preset_faults
    faults += (fault for fault in faults_of(RunConfig, values) if not fault.startswith("backend:"))
    if backend is not None and isinstance(values["model"], Mapping):
        faults += faults_of(backend.spec.config, values["model"], prefix="model.")
    if faults or backend is None:
        count = f"{len(faults)} error{'s' * (len(faults) > 1)}"
        remedy = f"Valid keys: amtts config --backend {backend.spec.name if backend else 'NAME'}"
        raise ConfigError(f"{source}: {count}: " + "; ".join(faults), remedy=remedy)
    values["model"] = backend.spec.config.model_validate(values["model"]).model_dump(mode="json")
    return RunConfig.model_validate(values), backend


def _chosen_backend(values: Mapping[str, Any]) -> tuple[type[Backend] | None, list[str]]:
    """The backend that `values` name, or the fault that hides it."""
    name = values.get("backend")
    if not isinstance(name, str) or not name:
        got = f", got {_shown(name)}" if name else ""
        return None, [f"backend: missing{got}; installed: {', '.join(backend_names()) or 'none'}"]
    if name not in backend_names():
        known = backend_names()
        return None, [
            f"backend: unknown '{name}'{nearest(name, known)}; installed: {', '.join(known) or 'none'}"
        ]
    return get_backend(name), []


def _with_defaults(values: Mapping[str, Any], spec: BackendSpec) -> tuple[dict[str, Any], list[str]]:
    """`values` over preset and training defaults. A wrong preset is a fault; the first stands in for it."""
    first = next(iter(spec.presets))
    preset, faults = values.get("preset") or first, []
    if not isinstance(preset, str) or preset not in spec.presets:
        known = ", ".join(spec.presets)
        faults.append(f"preset: unknown {_shown(preset)}{nearest(str(preset), spec.presets)}; known: {known}")
        preset = first
    defaults = {
        "model": spec.presets[preset],
        "training": spec.training_defaults.get("training", {}),
        "data": spec.training_defaults.get("data", {}),
    }
    return merged(defaults, {**values, "preset": preset}), faults


def read_config_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: missing, a folder, not YAML, or not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"config file {path}: {error.strerror}",
            remedy="Make one with: amtts config --backend NAME > FILE",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {path} is not UTF-8 text ({error.reason})") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-45
        raise ConfigError(f"config file {path} is not YAML: {error}") from None
    if values is None:
        raise ConfigError(
            f"config file {path} is empty", remedy="Make one with: amtts config --backend NAME > FILE"
        )
    if not isinstance(values, dict):
        raise ConfigError(f"config file {path}: expected keys and values, found {type(values).__name__}")
    return values


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Turns `["training.max_steps=10"]` into nested values.

    Raises:
        ConfigError: an item without `=`, or a value that is not YAML.
    """
    out: dict[str, Any] = {}
    for item in assignments:
        key, separator, text = item.partition("=")
        if not separator or not key:
            raise ConfigError(
                f"--set {item!r}: expected key=value", remedy="Example: --set training.max_steps=100"
            )
        try:
            value: Any = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"--set {item!r}: the value is not YAML") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        out = merged(out, value)
    return out


def commented_yaml(config: RunConfig, backend: type[Backend]) -> str:
    """The configuration as YAML, each key with its meaning as a comment."""
    sections = {"model": backend.spec.config}
    values = config.model_dump(mode="json")
    lines = [f"# amtts configuration for {config.backend}: {backend.spec.summary}"]
    lines += _commented(RunConfig, values, sections, indent=0)
    return "\n".join(lines) + "\n"


def _commented(
    section: type[BaseModel], values: Mapping[str, Any], nested: Mapping[str, type[BaseModel]], indent: int
) -> Iterator[str]:
    pad = "  " * indent
    for key, field in section.model_fields.items():
        value = values.get(key, None if field.default is PydanticUndefined else field.default)
        comment = f"  # {field.description}" if field.description else ""
        inner = nested.get(key) or field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, Mapping):
            yield f"{pad}{key}:{comment}"
            yield from _commented(inner, value, {}, indent + 1)
        else:
            yield f"{pad}{key}: {json.dumps(value, ensure_ascii=False)}{comment}"
