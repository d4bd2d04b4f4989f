"""Config files beside published weights: the sizes they name are compared with the tensors and updated."""

from __future__ import annotations

import json
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

    Args:
        files: config files.
        keys: see `PublishedFormat.size_keys`.
        size: number of text tokens of the weights.

    Raises:
        AmttsError: names the key and both numbers.
    """
    for path in files:
        data = read_config([path])
        for section, key in _holders(data, keys):
            if section[key] != size:
                raise AmttsError(
                    f"{path} says {key} {section[key]}, the weights beside it have {size} text tokens",
                    remedy="Use the config that belongs to these weights",
                )


def write_resized(path: Path, folder: Path, keys: Sequence[str], size: int) -> None:
    """Copies a config into `folder` with its number of text tokens replaced; everything else stays."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        data = read_json(path)
        for section, key in _holders(data, keys):
            section[key] = size
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    else:
        for start, end in sorted(_places(text, keys), reverse=True):
            text = f"{text[:start]}{size}{text[end:]}"
    (folder / path.name).write_text(text, encoding="utf-8")


def read_config(files: Sequence[Path]) -> dict[str, Any]:
    """The first config beside the weights, as nested dictionaries; empty where there is none."""
    for path in files:
        if path.suffix == ".json":
            return read_json(path)
        import yaml

        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as fault:
            raise AmttsError(f"{path} is no YAML ({fault})") from None
        if isinstance(data, dict):
            return data
    return {}


def _holders(data: dict[str, Any], keys: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """The dictionaries that hold a size, with its key there."""
    for dotted in keys:
        *sections, key = dotted.split(".")
        holder: Any = data
        for name in sections:
            holder = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and type(holder.get(key)) is int:
            yield holder, key


def _places(text: str, keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where in a YAML text the sizes are, so that comments and order stay."""
    import yaml

    for dotted in keys:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        for name in dotted.split("."):
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            node = next((value for key, value in pairs if key.value == name), None)
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int":
            yield node.start_mark.index, node.end_mark.index
