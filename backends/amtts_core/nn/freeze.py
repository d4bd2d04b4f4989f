"""Freezing of single rows: they stay as they are, bit for bit, while the other rows of the tensor are trained.

A mask on the gradient is not enough: AdamW decays every row of a tensor that has a gradient, and moments of earlier
steps continue to move rows. So gradients are zeroed before the step, and values and moments restored after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amtts_core.contract.types import TextTensor
from amtts_core.errors import ConfigError, nearest


@dataclass(frozen=True)
class _Frozen:
    parameter: nn.Parameter
    rows: Tensor  # (F,) int64
    values: Tensor  # (F, ...) as they must stay


class FrozenRows:
    """Rows that no optimizer step changes.

    Call `before_step` after the backward pass and before gradients are clipped, `after_step` after
    `optimizer.step()`. It holds no state that has to be stored: the frozen values are those of the weights.

    Args:
        rows: parameter -> its frozen rows, (F,) int64 or (V,) bool.
    """

    def __init__(self, rows: Mapping[nn.Parameter, Tensor] | Iterable[tuple[nn.Parameter, Tensor]]) -> None:
        pairs = rows.items() if isinstance(rows, Mapping) else rows
        self._frozen: list[_Frozen] = []
        for parameter, which in pairs:
            index = which.nonzero().flatten() if which.dtype == torch.bool else which
            index = index.to(parameter.device)
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < parameter.shape[0]:
                raise ValueError(f"row {int(index.max())} of a tensor with {parameter.shape[0]} rows")
            self._frozen.append(_Frozen(parameter, index, parameter.detach()[index].clone()))

    def __len__(self) -> int:
        """Number of frozen rows over all tensors."""
        return sum(len(frozen.rows) for frozen in self._frozen)

    @torch.no_grad()
    def before_step(self) -> None:
        """Zeroes the gradients of frozen rows, so that they count neither for clipping nor for moments."""
        for frozen in self._frozen:
            if frozen.parameter.grad is not None:
                frozen.parameter.grad[frozen.rows] = 0

    @torch.no_grad()
    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Restores values and clears moments (of any optimizer that keeps them in the parameter's shape)."""
        for frozen in self._frozen:
            frozen.parameter[frozen.rows] = frozen.values.to(frozen.parameter.dtype)
            for state in optimizer.state.get(frozen.parameter, {}).values():
                if isinstance(state, Tensor) and state.shape == frozen.parameter.shape:
                    state[frozen.rows] = 0

    @torch.no_grad()
    def write_into(self, copies: Mapping[int, Tensor]) -> None:
        """Puts the values into copies of the parameters, by the parameter's `id`."""
        for frozen in self._frozen:
            copy = copies[id(frozen.parameter)]
            copy[frozen.rows.to(copy.device)] = frozen.values.to(copy)


def original_token_ids(parameter: nn.Parameter, new_tokens: Iterable[int]) -> Tensor:
    """Ids of the tokens of a text-indexed tensor that are not new, (F,) int64: what `original_tokens` freezes.

    Args:
        parameter: (V, ...).
        new_tokens: ids of the new tokens, as `vocab_report.json` lists them under `new_tokens`.
    """
    frozen = torch.ones(parameter.shape[0], dtype=torch.bool)
    frozen[list(new_tokens)] = False
    return frozen.nonzero().flatten()


def freeze_original_tokens(
    network: nn.Module, text_tensors: Sequence[TextTensor], new_tokens: Iterable[int]
) -> FrozenRows:
    """Everything in the text-indexed tensors but the rows of new tokens.

    Args:
        network: its parameters carry the names that `text_tensors` uses.
        text_tensors: as a backend declares them.
        new_tokens: ids of the new tokens.

    Raises:
        ConfigError: a tensor is not among the parameters, or an id is beyond its rows.
    """
    parameters = dict(network.named_parameters())
    new = sorted(set(new_tokens))
    pairs = []
    for rows in text_tensors:
        parameter = parameters.get(rows.tensor)
        if parameter is None:
            raise ConfigError(f"the network has no parameter '{rows.tensor}'")
        tokens = parameter.shape[0] - rows.num_extra_rows
        if new and not 0 <= new[0] <= new[-1] < tokens:
            raise ConfigError(f"new token {new[-1]}: '{rows.tensor}' has {tokens} text tokens")
        pairs.append((parameter, original_token_ids(parameter, new)))
    return FrozenRows(pairs)


def freeze_modules(network: nn.Module, names: Sequence[str]) -> list[str]:
    """Switches gradients off below the named modules or parameters; returns the parameters that stay.

    Raises:
        ConfigError: a name is in the network nowhere; names the nearest.
    """
    frozen = parameters_below(network, names)
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    return list(frozen)


def parameters_below(network: nn.Module, names: Sequence[str]) -> dict[str, nn.Parameter]:
    """The named parameters and those of the named modules.

    Raises:
        ConfigError: a name is in the network nowhere; names the nearest.
    """
    parameters = dict(network.named_parameters())
    found: dict[str, nn.Parameter] = {}
    for name in names:
        below = [known for known in parameters if known == name or known.startswith(f"{name}.")]
        if not below:
            modules = [known for known, _ in network.named_modules() if known]
            raise ConfigError(
                f"training.freeze: the network has no module '{name}'{nearest(name, modules)}",
                remedy=f"Its parts are: {', '.join(known for known, _ in network.named_children())}",
            )
        found |= {known: parameters[known] for known in below}
    return found


class LateStart:
    """Parameters that are frozen, bit for bit, up to a step, and trained like the others from then on.

    Without a gradient an optimizer neither moves a parameter nor decays it nor counts a step of it.

    Args:
        parameters: those that wait.
        begin: the first step, counted from 0, that moves them.
        step: the step that is being made.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, begin: int, step: Callable[[], int]) -> None:
        self._parameters, self._begin, self._step = list(parameters), begin, step

    def before_step(self) -> None:
        """Takes the gradients away while they wait, so that they count neither for clipping nor for moments."""
        if self._step() < self._begin:
            for parameter in self._parameters:
                parameter.grad = None

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Nothing: what had no gradient did not move."""
