"""Published T3 files, read strictly: safetensors, or `.pt` without executing code.

The published weights of Chatterbox are under the MIT license (Resemble AI). A file with a top-level "model" holds
the tensors in the first entry of that list.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_chatterbox.t3.config import OFFICIAL_TEXT_ROWS, PRESETS, T3Config
from amtts_chatterbox.t3.names import from_published, refuse_gpt2, to_published
from amtts_chatterbox.t3.network import T3
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.errors import CheckpointError

LICENSE = "MIT (Chatterbox weights, Resemble AI)"

PUBLISHED_FILES = {
    "t3_mtl23ls_v3": "official",
    "t3_mtl23ls_v2": "official",
    "t3_23lang": "official",
    "t3_cfg": "official_english",
}
"""Stem of a published file -> the preset it belongs to."""


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published T3 file under their published names, on the CPU.

    Raises:
        CheckpointError: missing, damaged, not a dict of tensors, or of the GPT-2 family.
    """
    if not path.is_file():
        raise CheckpointError(f"weights {path} do not exist", remedy="Give a T3 file, .safetensors or .pt")
    stored: Any = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    if isinstance(stored, Mapping) and "model" in stored:
        stored = stored["model"]
        stored = stored[0] if isinstance(stored, list | tuple) and stored else stored
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise CheckpointError(f"weights {path}: expected tensors by name, found {type(stored).__name__}")
    weights = {str(name): tensor for name, tensor in stored.items()}
    refuse_gpt2(weights, source=str(path))
    return weights


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"weights {path} cannot be read ({error})") from None


def _pickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, ValueError, LookupError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        if isinstance(error, pickle.UnpicklingError):  # torch explains its own options instead
            reason = "it is no file of torch, or holds more than tensors"
        raise CheckpointError(
            f"weights {path} cannot be read as tensors ({type(error).__name__}: {reason[:120]})"
        ) from None


def load_published(path: Path, *, config: T3Config | None = None) -> T3:
    """A network with the weights of a published file, in evaluation mode.

    Args:
        path: a T3 file; the usual file names say which preset they are.
        config: sizes and identity of a file with another name.

    Raises:
        CheckpointError: unreadable, or a tensor does not fit; names it and both sizes.
    """
    weights = read_published(path)
    if config is None:
        config = T3Config.model_validate(PRESETS[published_preset(path)])
    return network_of(weights, config, source=str(path))


def published_preset(path: Path) -> str:
    """The preset of a published file, by its name and never by a size.

    Raises:
        CheckpointError: the name is not one of the published ones.
    """
    if path.stem not in PUBLISHED_FILES:
        known = ", ".join(PUBLISHED_FILES)
        raise CheckpointError(
            f"weights {path}: the name does not say which model this is; known names: {known}",
            remedy="Give its configuration (preset 'official' is multilingual, 'official_english' is not)",
        )
    return PUBLISHED_FILES[path.stem]


def network_of(published: Mapping[str, Tensor], config: T3Config, *, source: str = "the weights") -> T3:
    """A network with published tensors; the number of text tokens is that of their text embedding."""
    weights = from_published(published, layers=config.layers, source=source)
    with torch.device("meta"):  # random numbers for 536 million weights would take longer than reading them
        network = T3(config, num_text_tokens=len(weights["text_embedding.weight"]))
    network.to_empty(device="cpu")
    load_strict(network, weights, backend="chatterbox")
    return network.eval()


def official_shapes(preset: str) -> dict[str, list[int]]:
    """Published names and sizes that the preset's network has; makes no tensors."""
    config = T3Config.model_validate(PRESETS[preset])
    with torch.device("meta"):
        network = T3(config, num_text_tokens=OFFICIAL_TEXT_ROWS[preset])
        return {name: list(tensor.shape) for name, tensor in to_published(network.state_dict()).items()}
