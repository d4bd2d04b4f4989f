"""Nested training state as JSON and tensors: what is stored executes nothing when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def flatten(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """A JSON-able copy of nested dicts and lists; tensors move into `tensors` and leave a reference behind."""
    import torch

    if isinstance(value, torch.Tensor):
        name = f"{len(tensors)}:{path}"  # the number keeps {"a": {"b": ...}} and {"a/b": ...} apart
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"__tensor__": name}
    if isinstance(value, Mapping):
        items = [[_key(k), flatten(v, tensors, f"{path}/{k}")] for k, v in value.items()]
        return {"__items__": items}
    if isinstance(value, list | tuple):
        return [flatten(v, tensors, f"{path}/{i}") for i, v in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"training state {path}: {type(value).__name__} cannot be stored")


def _key(key: object) -> object:
    if isinstance(key, str | int) and not isinstance(key, bool):
        return key
    raise TypeError(f"training state: key {key!r} cannot be stored")


def unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of `flatten` (tuples come back as lists)."""
    if isinstance(value, dict):
        if "__tensor__" in value:
            return tensors[value["__tensor__"]]
        return {key: unflatten(v, tensors) for key, v in value["__items__"]}
    if isinstance(value, list):
        return [unflatten(v, tensors) for v in value]
    return value
