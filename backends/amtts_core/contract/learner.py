"""What the trainer drives: losses of a batch, one per optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from amtts_core.contract.types import Batch, PhaseLoss

if TYPE_CHECKING:
    from torch import Tensor, nn


@runtime_checkable
class Learner(Protocol):
    """The training view of a backend's network: one optimizer per phase, losses in the order the optimizers step.

    The trainer runs forward, backward and step of a phase before it asks `losses` for the next one, so a GAN
    yields its discriminator loss from a detached output, then its generator loss, and runs the generator once a
    batch.
    """

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the optimizers, in the order they step."""
        ...

    modules: dict[str, nn.Module]
    """Trainable modules by name. The trainer may replace them by wrapped ones (DDP): call them through here."""

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """Trainable parameters of `phase`; the phases' lists are disjoint."""
        ...

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields one loss per phase, in `phases` order."""
        ...

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Name -> (H, W) image of the batch's first utterance (mel, alignment) for logs; empty where there is none."""
        ...


class AllReduce(Protocol):
    """What all processes of a run do with a tensor together, in place; with one process it stays as it is."""

    def sum(self, tensor: Tensor) -> None:
        """The sum over all processes."""
        ...

    def maximum(self, tensor: Tensor) -> None:
        """The elementwise maximum over all processes."""
        ...
