"""Base of every settings class, nested overrides, and faults told by key with the nearest valid name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from amtts_core.errors import nearest

UNKNOWN_KEY = "unknown key"


class Settings(BaseModel):
    """Base of every configuration section: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _single_texts(cls, values: Any) -> Any:
        """A plain string where a list of strings is expected is a list of one."""
        if not isinstance(values, Mapping):
            return values
        return {
            key: (value,) if isinstance(value, str) and _is_texts(cls, key) else value
            for key, value in values.items()
        }


def _is_texts(section: type[BaseModel], key: object) -> bool:
    field = section.model_fields.get(str(key))
    return field is not None and field.annotation == tuple[str, ...]


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
                yield f"{where}: {UNKNOWN_KEY}{nearest(str(fault['loc'][-1]), known)}"
            elif fault["type"] == "missing":
                yield f"{where}: missing"
            else:
                yield f"{where}: {fault['msg']}, got {shown(fault['input'])}"


def shown(value: object) -> str:
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
