"""Files that Chatterbox publishes: tensors by name, read without running anything in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from amtts_core.errors import CheckpointError
from amtts_core.storage.foreign_weights import load_tensors_only, model_tensors


def read_published_tensors(
    path: Path, *, what: str, remedy: str = "", landmark: str = ""
) -> dict[str, Tensor]:
    """The tensors of a safetensors or `.pt` file under their published names, on the CPU.

    Args:
        path: of the file.
        what: it should be, for messages.
        remedy: what else to give.
        landmark: a tensor that it has; then prefixes and wrappers of other trainers are removed.

    Raises:
        CheckpointError: missing, damaged, or not a dictionary of tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{what} {path} does not exist", remedy=remedy)
    stored = load_tensors_only(path, what=what)
    if landmark and (found := model_tensors(stored, path, landmark=landmark, what=what)) is not None:
        return found
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
