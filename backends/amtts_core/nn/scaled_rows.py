"""Single rows of a tensor with another learning rate than the other rows."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ScaledRows:
    """Rows whose steps are scaled, where old rows are trained too, but slower than new ones.

    AdamW does not care about the size of a gradient, so the step itself is scaled. Call as `FrozenRows`.

    Args:
        rows: parameter and its slower rows, (F,) int64.
        factor: share of the step they take; 0 leaves them, 1 changes nothing.
    """

    def __init__(self, rows: Iterable[tuple[nn.Parameter, Tensor]], *, factor: float) -> None:
        self._rows = [(parameter, index.to(parameter.device)) for parameter, index in rows]
        self._factor = factor
        self._before: list[Tensor] = []

    @torch.no_grad()
    def before_step(self) -> None:
        """Remembers where the rows are."""
        self._before = [parameter[index].clone() for parameter, index in self._rows]

    @torch.no_grad()
    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Takes back the rest of the step."""
        for (parameter, index), before in zip(self._rows, self._before, strict=True):
            parameter[index] = torch.lerp(before, parameter[index], self._factor)
        self._before = []
