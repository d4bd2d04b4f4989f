"""A number of ours beside a stored one of an official implementation, and reading the stored ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from torch import Tensor

AGAIN = "Copy that file of the bundle again"


@dataclass(frozen=True)
class ReferenceCheck:
    """One tensor or number held against a stored one."""

    name: str
    max_abs_diff: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """True where the difference is within the tolerance (NaN is not)."""
        return self.max_abs_diff <= self.tolerance


class Stored(dict[str, Any]):
    """What a file of a bundle holds, by name; a name that it lacks is an `AmttsError` that says so."""

    def __init__(self, file: Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._file = file

    def __missing__(self, name: str) -> Any:
        raise AmttsError(
            f"reference bundle {self._file.parent}: {self._file.name} lacks '{name}'", remedy=AGAIN
        )


def read_object(file: Path) -> Stored:
    """The JSON object in a file of a bundle.

    Raises:
        AmttsError: missing, damaged, or no object; names bundle and file.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    if not isinstance(values, dict):
        raise AmttsError(f"reference bundle {file.parent}: {file.name} holds no JSON object", remedy=AGAIN)
    return Stored(file, values)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file of a bundle, by name.

    Raises:
        AmttsError: missing or damaged; names bundle and file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return Stored(file, load_file(file))
    except (OSError, SafetensorError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> AmttsError:
    reason = getattr(error, "strerror", None) or error
    return AmttsError(f"reference bundle {file.parent}: {file.name} cannot be read ({reason})", remedy=AGAIN)
