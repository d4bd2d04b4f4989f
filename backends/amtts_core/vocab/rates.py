"""What learns how fast: parameter groups for text tables, heads and trunk, and single rows with a rate of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from amtts_core.backend import TextRows
from amtts_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Learning rates, as factors of the run's own.

    Attributes:
        text_tables: text embeddings (their new rows, where the original ones are frozen).
        text_heads: weights and biases that give text logits.
        trunk: everything else.
    """

    text_tables: float = 1.0
    text_heads: float = 1.0
    trunk: float = 1.0


def parameter_groups(
    network: nn.Module,
    text_rows: Sequence[TextRows],
    *,
    learning_rate: float,
    weight_decay: float,
    rates: Rates,
) -> list[dict[str, Any]]:
    """Groups for a torch optimiser over the trainable parameters; text tables, vectors and biases are not decayed.

    Args:
        network: its parameters carry the names that `text_rows` uses.
        text_rows: text-indexed tensors.
        learning_rate: of the run.
        weight_decay: of matrices outside the text tables.
        rates: factors.

    Raises:
        ConfigError: a text tensor is not among the network's parameters.
    """
    parameters = dict(network.named_parameters())
    kinds: dict[int, str] = {}
    for rows in text_rows:
        if rows.tensor not in parameters:
            raise ConfigError(f"the network has no parameter '{rows.tensor}'")
        kinds.setdefault(
            id(parameters[rows.tensor]), "text_tables" if rows.kind == "embedding" else "text_heads"
        )
    chosen: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for parameter in parameters.values():
        if parameter.requires_grad:
            kind = kinds.get(id(parameter), "trunk")
            decayed = kind != "text_tables" and parameter.ndim >= 2
            chosen.setdefault((kind, decayed), []).append(parameter)
    return [
        {
            "name": kind if decayed or kind == "text_tables" else f"{kind}, not decayed",
            "params": members,
            "lr": learning_rate * float(getattr(rates, kind)),
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (kind, decayed), members in chosen.items()
    ]


class ScaledRows:
    """Rows that take only a share of every step, where old rows learn too, but slower than new ones.

    AdamW does not care about the size of a gradient, so the step itself is scaled. Call as `FrozenRows`.

    Args:
        rows: parameter and its slower rows, (F,) int64.
        factor: share of the step they take, 0 to 1.
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
