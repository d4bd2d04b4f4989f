"""Rules for some parameters at every optimizer step."""

from __future__ import annotations

from typing import Protocol

import torch


class StepRule(Protocol):
    """Changes what an optimizer step does to some parameters, such as keeping them frozen."""

    def before_step(self) -> None:
        """Gradients are complete and not clipped yet."""
        ...

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer has moved its parameters."""
        ...
