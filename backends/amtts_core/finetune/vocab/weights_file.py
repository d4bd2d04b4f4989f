"""Published weights as files: safetensors, or .pt/.pth/.bin read without executing anything, written back alike."""

from __future__ import annotations

import fnmatch
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from amtts_core.contract.published import PublishedFormat
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.storage.foreign_weights import load_tensors_only, model_tensors
from amtts_core.storage.peft_adapter import WEIGHTS as ADAPTER
from amtts_core.storage.peft_adapter import base_of, is_adapter
from amtts_core.storage.torch_files import reading_safely

_TORCH = {".pt", ".pth", ".bin", ".ckpt"}
_WRAPPERS = ("model", "state_dict")
"""Top-level keys under which a published file may keep its tensors, or a list whose first entry holds them."""


@dataclass(frozen=True)
class WeightsFile:
    """Tensors by published name, and what else the file holds.

    Attributes:
        path: where it was read from.
        tensors: on the CPU.
        container: the whole content of a torch file; None for safetensors.
        metadata: text fields of a safetensors file.
        new_name: of the safetensors file that `write_weights` makes of a file in another layout; empty keeps the name.
    """

    path: Path
    tensors: dict[str, Tensor]
    container: Any = None
    metadata: dict[str, str] = field(default_factory=dict)
    new_name: str = ""

    def changed(self, tensors: dict[str, Tensor]) -> WeightsFile:
        """Other tensors from the same source, to be written as safetensors."""
        return WeightsFile(self.path, tensors, new_name=f"{self.path.stem}.safetensors")


def find_weights(path: Path, published: PublishedFormat) -> Path:
    """The published weights: `path` itself, or the likeliest file in a folder; of a PEFT adapter those of its base.

    Raises:
        AmttsError: there are none, or several that are as likely.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise AmttsError(f"no checkpoint at {path}: there is no such file or folder")
    if is_adapter(path) and (base := base_of(path)).parent != path:
        return find_weights(base, published)
    suffixes = _TORCH | {".safetensors"}
    names = sorted(
        entry.name for entry in path.iterdir() if entry.suffix in suffixes and entry.name not in ADAPTER
    )
    for pattern in (*published.weight_files, "*.ckpt"):
        fitting = [
            path / name for name in fnmatch.filter(names, pattern) if _may_hold(path / name, published)
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise AmttsError(
                f"{path} holds {len(fitting)} checkpoints: {', '.join(file.name for file in fitting)}",
                remedy=f"Name one, e.g. --checkpoint {fitting[0]}",
            )
    held = f"it holds {', '.join(names)}" if names else "it holds no .safetensors, .pt, .pth or .bin file"
    raise AmttsError(f"no weights of backend '{published.name}' in {path}: {held}")


def _may_hold(path: Path, published: PublishedFormat) -> bool:
    """False for a safetensors file without the text embedding; torch files would have to be loaded."""
    if path.suffix != ".safetensors" or not published.text_tensors:
        return True
    try:
        with safe_open(path, framework="pt") as stored:
            landmark = published.landmark
            return any(name == landmark or name.endswith(f".{landmark}") for name in stored.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return True  # reading it says what is wrong


def read_weights(path: Path, *, landmark: str = "") -> WeightsFile:
    """The tensors of a file, on the CPU.

    Args:
        path: of the file.
        landmark: published name of a tensor that it has, with which prefixes and wrappers of other trainers are
            recognized; empty takes the file as published.

    Raises:
        CheckpointError: missing, damaged, or it holds no tensors of the model.
    """
    if landmark and (other := _unwrapped(path, landmark)) is not None:
        return other
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as stored:
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
                return WeightsFile(path, tensors, metadata=dict(stored.metadata() or {}))
        container = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        EOFError,
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as fault:
        what = " ".join(str(fault).split())[:200]
        raise CheckpointError(f"weights {path} cannot be read ({type(fault).__name__}: {what})") from None
    state = _state(container)
    found = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    if not found:
        raise CheckpointError(f"weights {path} hold no tensor")
    return WeightsFile(path, found, container)


def _unwrapped(path: Path, landmark: str) -> WeightsFile | None:
    """The model's tensors in a file of another trainer, to be written as safetensors; None for a published file."""
    if path.suffix == ".safetensors":
        with reading_safely(path, what="weights"), safe_open(path, framework="pt") as stored:
            if landmark in set(stored.keys()):
                return None
    stored = load_tensors_only(path, what="weights")
    if isinstance(stored, dict) and landmark in _state(stored):
        return None
    found = model_tensors(stored, path, landmark=landmark)
    return None if found is None else WeightsFile(path, {}).changed(found)


def read_back(written: Path, old: Mapping[str, Tensor], changed: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of a file that was just written; those that must equal the old ones are not held twice.

    Args:
        written: the new file.
        old: the tensors before.
        changed: names of those that may differ.

    Raises:
        CheckpointError: the file holds other names, or an unchanged tensor differs.
    """
    if written.suffix == ".safetensors":
        with safe_open(written, framework="pt") as stored:
            return _compared(stored.keys(), stored.get_tensor, old, changed, written)
    found = read_weights(written).tensors
    return _compared(found, found.__getitem__, old, changed, written)


def _compared(
    names: Collection[str],
    read: Callable[[str], Tensor],
    old: Mapping[str, Tensor],
    changed: Sequence[str],
    path: Path,
) -> dict[str, Tensor]:
    if set(names) != set(old):
        raise CheckpointError(f"{path.name} came back with {len(names)} tensors, {len(old)} were written")
    result = {}
    for name in names:
        tensor = read(name)
        if name not in changed:
            if not _same_bits(tensor, old[name]):
                raise CheckpointError(f"{path.name}: tensor '{name}' differs from what was written")
            tensor = old[name]
        result[name] = tensor
    return result


def _same_bits(first: Tensor, second: Tensor) -> bool:
    """True also where both hold the same NaN."""
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    return torch.equal(first, second) or torch.equal(
        first.contiguous().flatten().view(torch.uint8), second.contiguous().flatten().view(torch.uint8)
    )


def _state(container: Any) -> dict[str, Any]:
    """The dictionary that holds the tensors."""
    if not isinstance(container, dict):
        return {}
    for key in _WRAPPERS:
        inner = container.get(key)
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if isinstance(inner, dict):
            return inner
    return container


def write_weights(file: WeightsFile, folder: Path, changed: Mapping[str, Tensor]) -> Path:
    """Writes the file with some tensors replaced into `folder`, under its own name and in its own format."""
    target = folder / (file.new_name or file.path.name)
    if file.container is None:
        tensors = {name: changed.get(name, tensor).contiguous() for name, tensor in file.tensors.items()}
        save_file(tensors, target, metadata=file.metadata or None)
        return target
    state = _state(file.container)
    before = {name: state[name] for name in changed}
    try:
        state.update(changed)
        torch.save(file.container, target)
    finally:
        state.update(before)
    return target
