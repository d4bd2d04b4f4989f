"""What a backend knows of published weights of its family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Published weights to start a training from.

    Attributes:
        model: network settings that the weights determine.
        load_into: loads the weights into a newly built `Backend` and logs what is newly initialized; returns the names
            of those parameters, which are trained with every training type.
        license: of the weights.
    """

    model: dict[str, Any]
    load_into: Callable[[Any], Sequence[str]]
    license: str


class PublishedFormat(Protocol):
    """The files of a family's published weights."""

    def open_weights(self, path: Path) -> PublishedWeights:
        """The weights in a folder (or file).

        Raises:
            AmttsError: there are none, or not of this family.
        """
        ...
