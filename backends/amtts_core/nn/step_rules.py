"""What must hold of some parameters at every optimizer step."""

from __future__ import annotations

from typing import Protocol

import torch


class StepRule(Protocol):
    """What must hold of some parameters at every step of their optimiser, such as that they stay."""

    def before_step(self) -> None:
        """Gradients are complete and not clipped yet."""
        ...

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimiser has moved its parameters."""
        ...
