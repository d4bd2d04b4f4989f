"""Reads tensors out of a `torch.package` archive without running any of the code in it.

descript-audio-codec saves its training checkpoints that way: a zip with the model's Python files, the pickled module
(`DAC/DAC.pth`) and one file a storage (`.data/N.storage`). torch would import the archive's own code to load it.
Here every class of the pickle that is not a plain container or a tensor becomes an inert stand-in that only keeps
its attributes; the tensors are then collected from those as `Module.state_dict` would.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from amtts_core.errors import CheckpointError

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class _StandIn:
    """Takes the place of any other class: keeps the attributes, does nothing."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update({str(key): value for key, value in state.items()})


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return storage.as_strided(size, stride, offset).clone()


def _parameter(data: Tensor, *_: object) -> Tensor:
    return data


class _Reader(pickle.Unpickler):
    """An unpickler that can build containers, tensors and stand-ins, and nothing else."""

    KNOWN: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "set"): set,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
    }

    def __init__(self, archive: zipfile.ZipFile, root: str, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._archive, self._root = archive, root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return self.KNOWN.get((module, name), _StandIn)

    def persistent_load(self, reference: Any) -> Tensor:
        kind, dtype, key, _, _ = reference
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"reference to '{kind}' of {dtype} is not a storage")
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._root}.data/{key}.storage"))
            self._storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self._storages[key]


def is_packaged(path: Path) -> bool:
    """True for a `torch.package` archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".data/extern_modules") for name in archive.namelist())


def read_packaged(path: Path) -> dict[str, Any]:
    """`{"state_dict": ..., "metadata": {"kwargs": ...}}` of a packaged model.

    Raises:
        CheckpointError: damaged, or not a model of descript-audio-codec.
    """

    def fail(why: str) -> NoReturn:
        raise CheckpointError(f"packaged DAC weights {path} cannot be read: {why}")

    try:
        with zipfile.ZipFile(path) as archive:
            models = [name for name in archive.namelist() if name.endswith("DAC/DAC.pth")]
            if len(models) != 1:
                fail(f"expected one DAC/DAC.pth inside, found {len(models)}")
            root = models[0].removesuffix("DAC/DAC.pth")
            order = (
                archive.read(f"{root}byteorder") if f"{root}byteorder" in archive.namelist() else b"little"
            )
            if order != b"little":
                fail(f"its byte order is {order!r}")
            model = _Reader(archive, root, archive.read(models[0])).load()
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, KeyError, EOFError) as error:
        fail(f"{type(error).__name__}: {error}")
    except (TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:  # a malformed pickle
        fail(f"{type(error).__name__}: {error}")
    weights: dict[str, Tensor] = {}
    _collect(model, "", weights, seen=set())
    metadata = getattr(model, "metadata", None)
    if not weights or not isinstance(metadata, dict):
        fail("it holds no module with tensors and metadata")
    return {"state_dict": weights, "metadata": metadata}


def _collect(module: Any, prefix: str, out: dict[str, Tensor], *, seen: set[int]) -> None:
    """Parameters and persistent buffers of a stand-in module and those below it."""
    if not isinstance(module, _StandIn) or id(module) in seen:
        return
    seen.add(id(module))
    state = module.__dict__
    hidden = state.get("_non_persistent_buffers_set", ())
    for group in ("_parameters", "_buffers"):
        for name, value in state.get(group, {}).items():
            if isinstance(value, Tensor) and not (group == "_buffers" and name in hidden):
                out[f"{prefix}{name}"] = value
    for name, child in state.get("_modules", {}).items():
        _collect(child, f"{prefix}{name}.", out, seen=seen)
