"""Weights as other trainers leave them: wrapped, prefixed, averaged. Only tensors are read, nothing in a file is run.

What is found is said in `notes`. Which tensors are the model's is known by one of its names, the landmark: whatever
stands before it (`module.`, `_orig_mod.`, `model.`, `ema_model.`) is a prefix, and what has another one is left out.
"""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.errors import CheckpointError
from amtts_core.storage.torch_files import reading_safely

logger = logging.getLogger(__name__)
DEPTH = 3
"""Wrappers inside of one another that are opened."""
FOREIGN = {
    "model_g.enc_p.emb.weight": "a training checkpoint of Piper (its generator is `model_g`, its text is phonemes)",
    "enc_p.emb.weight": "a generator in the original names (tensors of Hugging Face have others)",
    "net_g.enc_p.emb.weight": "a checkpoint of a trainer with the original names",
    "mrte.text_embedding.weight": "a GPT-SoVITS model",
    "gpt.text_embedding.weight": "a GPT of XTTS",
    "transformer.text_embed.text_embed.weight": "an F5-TTS model",
    "speaker_encoder.lstm.weight_ih_l0": "a speaker encoder",
    "conv_pre.weight_v": "a HiFi-GAN vocoder",
}
"""A tensor's name (or its end) -> the model that has it."""
MAGIC = {
    b"\x08": "an ONNX graph (for inference only; it cannot be trained on)",
    b"GGUF": "a GGUF file (quantized for inference; it cannot be trained on)",
    b"\x89HDF": "an HDF5 file of Keras or TensorFlow",
    b"\x1f\x8b": "a gzip archive",
}
"""How files begin that hold no tensors for torch."""


@dataclass(frozen=True)
class ForeignWeights:
    """The tensors of a model, under its published names.

    Attributes:
        tensors: on the CPU.
        notes: what was done to get them; empty where the file holds just them.
    """

    tensors: dict[str, Tensor]
    notes: list[str] = field(default_factory=list)


def model_tensors(
    stored: Any, path: Path, *, landmark: str, what: str = "weights"
) -> dict[str, Tensor] | None:
    """The model's tensors in the content of a file; None where it has no tensor of this name.

    What was done to get them is logged.

    Args:
        stored: content of the file.
        path: of the file, for messages.
        landmark: published name of a tensor that every file of the model has.
        what: the file should be, for messages.

    Raises:
        CheckpointError: it is of another model that is known.
    """
    found = select_model(stored, landmark=landmark)
    if found is None:
        model = _known_model([name for _, state in _states(stored) for name in state])
        if model:
            raise CheckpointError(
                f"{what} {path}: this is {model}, and lacks the tensor '{landmark}'",
                remedy="Start from weights of the backend's own family, or from scratch",
            )
        return None
    if found.notes:
        logger.warning("%s %s: %s", what, path, ", ".join(found.notes))
    return found.tensors


def load_tensors_only(path: Path, *, what: str) -> Any:
    """The content of a file; objects that are neither tensors nor plain values are not loaded.

    Raises:
        CheckpointError: unreadable, or a file of another kind, which is named.
    """
    kind = kind_of_file(path)
    if kind:
        raise CheckpointError(f"{what} {path} cannot be read: this is {kind}")
    with reading_safely(path, what=what):
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as fault:
            try:
                return _without_objects(path)
            except ValueError:  # an old format, whose objects torch does not list
                raise fault from None


def kind_of_file(path: Path) -> str:
    """What a file is that holds no tensors for torch; empty for one that may."""
    if path.suffix == ".safetensors" or not path.is_file():
        return ""
    with path.open("rb") as handle:
        head = handle.read(8)
    if path.suffix == ".onnx":
        return MAGIC[b"\x08"]
    for magic, kind in MAGIC.items():
        if len(magic) > 1 and head.startswith(magic):
            return kind
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                if not any(name.endswith("/data.pkl") or name == "data.pkl" for name in archive.namelist()):
                    return "a zip archive; unpack it first"
        except zipfile.BadZipFile:
            return "a zip archive that is damaged or cut short"
    return ""


def select_model(stored: Any, *, landmark: str) -> ForeignWeights | None:
    """The model's tensors among whatever a file holds; None where it has no tensor named `landmark`."""
    candidates = [
        (keys, prefix, state)
        for keys, state in _states(stored)
        for name in state
        if (prefix := _prefix(name, landmark)) is not None
    ]
    if not candidates:
        return None
    # An average is what a voice speaks with; otherwise the least wrapped tensors are the model's own.
    keys, prefix, state = min(
        candidates, key=lambda one: (not _is_average(*one[:2]), len(one[0]), len(one[1]))
    )
    tensors = {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}
    notes = []
    if keys:
        notes.append(f"taken from '{'.'.join(keys)}'")
    if prefix:
        notes.append(f"prefix '{prefix}' removed")
    left = len(state) - len(tensors)
    if left:
        notes.append(f"{left} other tensors left out")
    return ForeignWeights(tensors, notes)


def _states(stored: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Every dictionary of tensors in `stored`, with the keys that lead to it."""
    if isinstance(stored, list | tuple) and len(stored) == 1:  # older Chatterbox files: a list of one state
        stored = stored[0]
    if not isinstance(stored, Mapping):
        return
    state = {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
    if state:
        yield keys, state
    if len(keys) < DEPTH:
        for key, value in stored.items():
            if isinstance(value, Mapping | list | tuple):
                yield from _states(value, (*keys, str(key)))


def _prefix(name: str, landmark: str) -> str | None:
    """What stands before the landmark in a tensor's name; None where the name is another."""
    if name == landmark:
        return ""
    return name.removesuffix(landmark) if name.endswith("." + landmark) else None


def _is_average(keys: tuple[str, ...], prefix: str) -> bool:
    return any("ema" in part.lower().split("_") for part in (*keys, *prefix.split(".")))


def _known_model(names: list[str]) -> str:
    """Which other model has tensors of these names; empty where that is not known."""
    for end, model in FOREIGN.items():
        if any(name == end or name.endswith("." + end) for name in names):
            return model
    if any(".lora_A." in name for name in names):
        return "a set of LoRA adapters without their model (give the folder with their adapter_config.json)"
    return ""


class _Object:
    """Stands for an object that is not loaded and is given its state at once, as a `functools.partial` is."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Unloaded:
    """Stands for a class or function that is not loaded; whatever makes something of it gets an empty object."""

    def __new__(cls: Any, *arguments: Any) -> Any:
        return object.__new__(cls) if isinstance(cls, type) else OrderedDict()

    def __init__(self, made: type = OrderedDict) -> None:
        self._made = (
            made  # torch's reader sets items of a dictionary only, and tuples as the state of others only
        )

    def __call__(self, *arguments: Any) -> Any:
        return self._made()


def _without_objects(path: Path) -> Any:
    """The content of a file in which every object that torch does not count as safe is an empty dictionary."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    unloaded = [(_Unloaded(_Object if name == "functools.partial" else OrderedDict), name) for name in names]
    with torch.serialization.safe_globals([_Object, *unloaded]):
        stored = torch.load(path, map_location="cpu", weights_only=True)
    logger.warning(
        "%s: only tensors and plain values are read, not its objects of %s", path, ", ".join(sorted(names))
    )
    return stored
