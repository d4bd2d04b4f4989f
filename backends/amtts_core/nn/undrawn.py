"""Builds a network without drawing weights that are about to be loaded: of 536 million that alone takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.nn import init
from torch.overrides import TorchFunctionMode

_DRAWS = frozenset({init.normal_, init.uniform_, init.kaiming_normal_, init.kaiming_uniform_})
"""Initializers that torch lets a mode replace as a whole. Not `Tensor.normal_`: `trunc_normal_` draws again until every
value lies inside its bounds, which never ends where nothing is drawn."""


class Undrawn(TorchFunctionMode):
    """While it is on, this thread's initializers leave tensors as the allocator gave them.

    Only for networks whose every tensor is loaded strictly afterwards.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Leaves a draw out, does everything else."""
        kwargs = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
