"""Configuration as YAML: read, overridden from the command line, written with comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.errors import ConfigError
from amtts_core.settings import merged

FIRST_LINE = "# amtts configuration"
"""How a configuration that amtts has written begins."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key stands once: with the plain loader the first of two sections is lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            name, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            if isinstance(name, str) and name in seen and name != "<<":
                raise ConfigError(f"line {line}: key '{name}' is given twice, first in line {seen[name]}")
            if isinstance(name, str):
                seen[name] = line
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def read_config_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: missing, a folder, not YAML, or not a mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # a SafeLoader
    except OSError as error:
        raise ConfigError(
            f"config file {path}: {error.strerror}",
            remedy="Make one with: amtts config --backend NAME > FILE",
        ) from None
    except ConfigError as error:
        raise ConfigError(
            f"config file {path}, {error.message}", remedy="Put what belongs to it in one place"
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
    lines = [f"{FIRST_LINE} for {config.backend}: {backend.spec.summary}"]
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
