"""Where a published vocoder's settings and weights are, and how they are read safely."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from amtts_core.errors import AmttsError
from amtts_core.storage.torch_files import load_torch_file, reading_safely

ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def folder_of(path: Path) -> Path:
    """The folder of weights that are given as a folder or a file."""
    return path if path.is_dir() else path.parent


def peek(path: Path, *names: str) -> dict[str, Any]:
    """The first settings file of `names` in the folder that holds a mapping; empty where there is none."""
    for name in names:
        file = folder_of(path) / name
        try:
            text = file.read_text(encoding="utf-8")
            values = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(values, dict):
            return values
    return {}


def weights_file(path: Path, *first: str) -> Path:
    """The file of weights: `path` itself, or in a folder the last file by name of the first pattern that fits.

    Args:
        path: file or folder.
        first: glob patterns, tried before any file with an ending of weights.

    Raises:
        AmttsError: the folder holds none.
    """
    if path.is_file():
        return path
    for pattern in (*first, *(f"*{ending}" for ending in ENDINGS)):
        found = sorted(file for file in path.glob(pattern) if file.is_file())
        if found:
            return found[-1]
    raise AmttsError(
        f"vocoder {path} holds no weights: no file {', '.join(first)} or *{', *'.join(ENDINGS)}",
        remedy="Put them beside the settings, or give the file itself",
    )


def read_weights(file: Path, *, keys: Sequence[str], prefixes: Sequence[str] = ("",)) -> dict[str, Tensor]:
    """The tensors of a generator.

    Args:
        file: safetensors, or what `torch.save` wrote.
        keys: entries of the file under which the tensors may be; none of them: they are at its top.
        prefixes: of the tensors' names, the first that occurs is cut off and names without it are left out.

    Raises:
        CheckpointError: unreadable, or it holds more than tensors and plain values.
        AmttsError: no tensors in it.
    """
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        with reading_safely(file, what="vocoder"):
            stored: Any = load_file(file)
    else:
        stored = load_torch_file(file, what="vocoder")
    for key in keys:
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
            break
    if not isinstance(stored, Mapping) or not any(isinstance(value, Tensor) for value in stored.values()):
        raise AmttsError(f"vocoder {file} holds no tensors of a generator (looked under {', '.join(keys)})")
    tensors = {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
    for prefix in prefixes:
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if own:
            return own
    return tensors


def without_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weight norm (Salimans & Kingma 2016) multiplied out: g * v / |v|, the norm over all axes but the first."""
    named = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in weights.items()
    }
    out = {name: tensor for name, tensor in named.items() if not name.endswith(("weight_g", "weight_v"))}
    for name, direction in named.items():
        length = named.get(name.removesuffix("_v") + "_g")
        if name.endswith("weight_v") and length is not None:
            norm = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (direction.ndim - 1))
            out[name.removesuffix("_v")] = length * direction / norm
    return out


def fill(network: nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Loads strictly; names the first tensor that does not fit, with both sizes.

    Raises:
        AmttsError: a tensor is missing, unknown or of another size.
    """
    own = network.state_dict()
    fault = ""
    for name, tensor in own.items():
        if name not in weights:
            fault = f"the tensor '{name}' is missing"
        elif weights[name].shape != tensor.shape:
            fault = f"'{name}' has shape {list(weights[name].shape)}, expected {list(tensor.shape)}"
        if fault:
            break
    unknown = sorted(set(weights) - set(own))
    if fault or unknown:
        raise AmttsError(
            f"vocoder {file} does not fit the settings beside it: {fault or f'unknown tensor {unknown[0]!r}'}",
            remedy="Put the settings beside it that it was trained with",
        )
    network.load_state_dict(dict(weights))


def number(settings: Mapping[str, Any], names: Sequence[str], *, source: Path, default: Any = ...) -> Any:
    """The first of several names that the settings have.

    Raises:
        AmttsError: none of them, and no default.
    """
    for name in names:
        if settings.get(name) is not None:
            return settings[name]
    if default is ...:
        raise AmttsError(f"vocoder {source}: its settings lack '{names[0]}'")
    return default


def write_copy(
    folder: Path, settings: Mapping[str, Any], weights: Mapping[str, Tensor], *, name: str
) -> None:
    """Settings and weights as a folder that the same reader opens.

    Raises:
        AmttsError: it cannot be written.
    """
    from safetensors.torch import save_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = (
            json.dumps(settings, indent=1)
            if name.endswith(".json")
            else yaml.safe_dump(dict(settings), sort_keys=False)
        )
        (folder / name).write_text(text, encoding="utf-8")
        save_file(
            {key: value.detach().cpu().contiguous().clone() for key, value in weights.items()},
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )
    except OSError as error:
        raise AmttsError(f"vocoder cannot be copied into {folder}: {error.strerror or error}") from error


def as_float(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half-precision tensors in single precision."""
    return {
        name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }
