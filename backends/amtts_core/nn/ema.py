"""An exponential moving average of the weights, which a checkpoint holds for inference.

The decay warms up as min(decay, (1 + t) / (10 + t)) (TensorFlow's ExponentialMovingAverage), so a short fine-tune is
not dominated by the weights it started from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages every floating tensor of a network's state dict.

    Args:
        network: its tensors are averaged; inside `applied` it holds the average.
        decay: of the average, below 1.
        frozen: names of tensors that never change; they are not averaged.
    """

    def __init__(self, network: nn.Module, decay: float, *, frozen: Collection[str] = ()) -> None:
        self._network = network
        self._decay = decay
        self._frozen = frozenset(frozen)
        self.updates = 0
        self.average: dict[str, Tensor] = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the network; tensors that are not floats are copied."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        for name, value in self._network.state_dict().items():
            if name in self._frozen:
                continue
            if value.is_floating_point():
                self.average[name].lerp_(value.to(self.average[name].device), 1 - decay)
            else:
                self.average[name].copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network holds the average inside; its own weights come back bit by bit."""
        own = {k: v.detach().clone() for k, v in self._network.state_dict().items()}
        self._network.load_state_dict(self.average)
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def restore(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Continues from a stored average."""
        for name, value in average.items():
            self.average[name].copy_(value)
        self.updates = updates
