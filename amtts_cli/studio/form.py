"""A form made from the settings of a run: each key with its meaning, limits and default, as pydantic knows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.errors import ConfigError
from amtts_core.settings import merged

Input = Literal["switch", "choice", "whole", "number", "text", "value"]
ESSENTIAL = (
    "training.max_steps",
    "training.type",
    "training.optim.learning_rate",
    "training.optim.warmup_steps",
    "training.precision",
    "data.batch_seconds",
    "data.max_samples",
    "training.validate_every",
    "training.save_every",
    "training.sample_every",
    "training.sample_texts",
    "training.log_every",
    "training.seed",
)
"""Keys that most people look at; the form shows them first."""
_LIMITS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


@dataclass(frozen=True)
class Field:
    """A setting.

    Attributes:
        path: dotted, as after `--set`.
        input: kind of component: "value" is anything written as YAML.
        default: of backend and preset.
        choices: of a "choice".
        limits: such as "> 0, ≤ 1"; empty without.
        description: what it means.
    """

    path: str
    input: Input
    default: Any
    choices: tuple[str, ...] = ()
    limits: str = ""
    description: str = ""

    @property
    def section(self) -> str:
        """All but the last part of the path."""
        return self.path.rpartition(".")[0]

    @property
    def shown(self) -> Any:
        """The default as its component shows it."""
        if self.input == "value":
            return json.dumps(self.default, ensure_ascii=False)
        return self.default if self.input != "text" or self.default is not None else ""

    def read(self, given: Any) -> Any:
        """What a component holds, as a value of the setting.

        Raises:
            ConfigError: a "value" that is no YAML.
        """
        if self.input == "value":
            try:
                return yaml.safe_load(str(given))
            except yaml.YAMLError:
                raise ConfigError(f"{self.path}: {given!r} is not YAML") from None
        if self.input == "whole" and isinstance(given, float) and given.is_integer():
            return int(given)
        return given


def fields_of(config: RunConfig, backend: type[Backend]) -> list[Field]:
    """The settings of a run, those of its network among them; what `config` says is their default."""
    values = config.model_dump(mode="json")
    made = [*_walk(RunConfig, values, ""), *_walk(backend.spec.config, values["model"], "model.")]
    return [field for field in made if field.path not in ("backend", "preset", "model")]


def changed(fields: Sequence[Field], given: Sequence[Any]) -> dict[str, Any]:
    """Path -> value of the settings that a form holds other than their default.

    Args:
        fields: as made by `fields_of`.
        given: what the components hold, in the same order; None is the default.

    Raises:
        ConfigError: one cannot be read.
    """
    out = {}
    for field, shown in zip(fields, given, strict=True):
        if shown is None or shown == field.shown:
            continue
        value = field.read(shown)
        if value != field.default:
            out[field.path] = value
    return out


def assignments(values: Mapping[str, Any]) -> list[str]:
    """Options of `amtts train` for settings: --set path=value."""
    return [
        word
        for path, value in values.items()
        for word in ("--set", f"{path}={json.dumps(value, ensure_ascii=False)}")
    ]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    out: dict[str, Any] = {}
    for path, value in values.items():
        for part in reversed(path.split(".")):
            value = {part: value}
        out = merged(out, value)
    return out


def faults(error: ConfigError) -> list[str]:
    """The faults that an error of the settings lists, one each."""
    return error.message.split(": ", 2)[-1].split("; ") if " error" in error.message else [error.message]


def _walk(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> Iterator[Field]:
    for key, info in model.model_fields.items():
        path, value = prefix + key, values.get(key)
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, Mapping):
            yield from _walk(inner, value, f"{path}.")
        else:
            yield _field(path, info, value)


def _field(path: str, info: FieldInfo, value: Any) -> Field:
    kind, choices = _input(info.annotation)
    return Field(path, kind, value, choices, _limits(info), info.description or "")


def _input(annotation: Any) -> tuple[Input, tuple[str, ...]]:
    """The component for a type, and its choices."""
    origin = get_origin(annotation)
    if origin is Literal and all(isinstance(choice, str) for choice in get_args(annotation)):
        return "choice", get_args(annotation)
    if origin in (Union, UnionType):
        return "value", ()
    kinds: dict[Any, Input] = {bool: "switch", int: "whole", float: "number", str: "text"}
    return kinds.get(annotation, "value"), ()


def _limits(info: FieldInfo) -> str:
    found = []
    for limit in info.metadata:
        for name, sign in _LIMITS.items():
            bound = getattr(limit, name, None)
            if bound is not None:
                found.append(f"{sign} {bound if abs(bound) < 1e12 else f'{bound:.3g}'}")
    return ", ".join(found)
