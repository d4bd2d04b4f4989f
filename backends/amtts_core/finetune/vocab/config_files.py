"""The small files beside published weights: sizes they name are compared with the tensors and brought up to date."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.published.vocabulary import read_json

NAMES = ("config.json", "config.yaml", "config.yml")


def config_files(weights: Path) -> list[Path]:
    """The config files in the folder of a weights file."""
    return [weights.parent / name for name in NAMES if (weights.parent / name).is_file()]


def check_sizes(files: Sequence[Path], keys: Sequence[str], size: int) -> None:
    """Refuses a config that names another number of text tokens.

    Raises:
        AmttsError: it does; names the key and both numbers.
    """
    for path in files:
        for key, value in _sizes(path, keys):
            if value != size:
                raise AmttsError(
                    f"{path} says {key} {value}, the weights beside it have {size} text tokens",
                    remedy="Use the config that belongs to these weights",
                )


def write_resized(path: Path, folder: Path, keys: Sequence[str], size: int) -> None:
    """Copies a config into `folder` with its number of text tokens replaced; everything else stays."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        data = read_json(path)
        for holder in _holders(data, keys):
            for key in keys:
                if key in holder:
                    holder[key] = size
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    else:
        for key in keys:
            text = re.sub(rf"(?m)^(\s*{key}\s*:\s*)\d+", rf"\g<1>{size}", text)
    (folder / path.name).write_text(text, encoding="utf-8")


def read_config(files: Sequence[Path]) -> dict[str, Any]:
    """The first config beside the weights, as nested dictionaries; empty where there is none."""
    for path in files:
        if path.suffix == ".json":
            return read_json(path)
        import yaml

        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as fault:
            raise AmttsError(f"{path} is no YAML ({fault})") from None
        if isinstance(data, dict):
            return data
    return {}


def _sizes(path: Path, keys: Sequence[str]) -> Iterator[tuple[str, int]]:
    data = read_config([path])
    for holder in _holders(data, keys):
        for key in keys:
            if isinstance(holder.get(key), int):
                yield key, holder[key]


def _holders(data: dict[str, Any], keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The top level and the sections right below it that name a size of their own; a trunk's own is not meant."""
    if any(key in data for key in keys):
        yield data
        return
    for name in ("t3", "gpt", "model"):
        section = data.get(name)
        if isinstance(section, dict) and any(key in section for key in keys):
            yield section
