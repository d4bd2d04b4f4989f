"""What a checkpoint of a run speaks with: the average where one is kept, adapters merged, whole where it is split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor

from amtts_core.contract.backend import Backend
from amtts_core.nn.ema import WeightAverage
from amtts_core.nn.eval_mode import evaluating
from amtts_core.nn.lora import merged
from amtts_core.training.distributed.shards import Shards


class Voice:
    """The trained network as others hear it.

    Args:
        backend: is trained.
        average: of its weights, where one is kept.
        shards: of the network, where it is split.
        main: whether this is the process that speaks.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        average: WeightAverage | None,
        shards: Shards | None,
        main: bool,
    ) -> None:
        self._backend, self._average, self._shards = backend, average, shards
        self._main = main

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint holds; tensors may be split."""
        return self._average.average if self._average is not None else self._backend.network.state_dict()

    def gather(self) -> None:
        """Puts a split network together where it will speak; every process has to call it."""
        if self._shards is not None:
            self._shards.gather_voice(self._backend, self.weights(), main=self._main)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """The network has these weights inside, for losses."""
        with self._averaged(), nullcontext() if self._shards else merged(self._backend.network):
            yield

    @contextmanager
    def spoken(self) -> Iterator[Backend]:
        """The backend with these weights, in evaluation mode; of a split network the copy that was gathered last."""
        if self._shards is not None:
            assert self._shards.voice is not None
            yield self._shards.voice
            return
        network = self._backend.network
        with evaluating(network), self._averaged(), merged(network):
            yield self._backend

    def _averaged(self) -> AbstractContextManager[None]:
        return self._average.applied() if self._average is not None else nullcontext()
