"""Files that Chatterbox publishes: tensors by name, read without running anything in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.errors import CheckpointError
from amtts_core.storage.torch_files import load_torch_file, reading_safely


def read_published_tensors(path: Path, *, what: str, remedy: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors or `.pt` file under their published names, on the CPU.

    Args:
        path: of the file.
        what: it should be, for messages.
        remedy: what else to give.

    Raises:
        CheckpointError: missing, damaged, or not a dictionary of tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{what} {path} does not exist", remedy=remedy)
    with reading_safely(path, what=what):
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            stored: Any = load_file(path)
        else:
            stored = load_torch_file(path, what=what)
    if isinstance(stored, Mapping) and "model" in stored:  # older files keep their tensors in a list of one
        stored = stored["model"]
        stored = stored[0] if isinstance(stored, list | tuple) and stored else stored
    if (
        not isinstance(stored, Mapping)
        or not stored
        or not all(isinstance(v, Tensor) for v in stored.values())
    ):
        raise CheckpointError(
            f"{what} {path}: expected tensors by name, found {type(stored).__name__}", remedy=remedy
        )
    return {str(name): tensor for name, tensor in stored.items()}
