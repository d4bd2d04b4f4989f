"""The weights that a run is validated and speaks with: the average where one is kept, with adapters merged."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor

from amtts_core.contract.backend import Backend
from amtts_core.finetune.trainable import frozen_names, restore_frozen_rows
from amtts_core.nn.ema import WeightAverage
from amtts_core.nn.eval_mode import evaluating
from amtts_core.nn.lora import merged_adapters
from amtts_core.nn.step_rules import StepRule
from amtts_core.training.distributed.shards import Shards, local_shards

logger = logging.getLogger(__name__)


class InferenceWeights:
    """The weights of a checkpoint, next to those that are trained.

    Args:
        backend: is trained; its network is on its device.
        ema_decay: of the average of the weights; 0 keeps none.
        shards: of the network, where it is split over processes.
        main: whether this is the process that speaks.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        ema_decay: float,
        shards: Shards | None,
        main: bool,
    ) -> None:
        self._backend, self._shards = backend, shards
        self._main = main
        self._average: WeightAverage | None = None
        if ema_decay:
            frozen = frozen_names(backend.network)
            self._average = WeightAverage(backend.network, ema_decay, frozen=frozen)

    def tensors(self) -> dict[str, Tensor]:
        """The state dict that a checkpoint holds; tensors may be split over processes."""
        return self._average.average if self._average is not None else self._backend.network.state_dict()

    def update(self, rules: Mapping[str, Iterable[StepRule]]) -> None:
        """Moves the average after a step; frozen rows of it keep their bits."""
        if self._average is not None:
            self._average.update()
            restore_frozen_rows(rules, self._backend.network, self._average.average)

    def gather(self) -> None:
        """Puts a split network together where it will speak; every process has to call it."""
        if self._shards is not None:
            self._shards.gather_inference_backend(self._backend, self.tensors(), main=self._main)

    @contextmanager
    def for_losses(self) -> Iterator[None]:
        """Inside, the network has these weights, for losses."""
        with self._averaged(), nullcontext() if self._shards else merged_adapters(self._backend.network):
            yield

    @contextmanager
    def for_synthesis(self) -> Iterator[Backend]:
        """The backend with these weights, in evaluation mode; of a split network the copy that was gathered last."""
        if self._shards is not None:
            assert self._shards.inference_backend is not None
            yield self._shards.inference_backend
            return
        network = self._backend.network
        with evaluating(network), self._averaged(), merged_adapters(network):
            yield self._backend

    def _averaged(self) -> AbstractContextManager[None]:
        return self._average.applied() if self._average is not None else nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """The trained weights, where the checkpoint's are their average, and the number of updates."""
        if self._average is None:
            return {"trained": None, "updates": 0}
        return {"trained": self._backend.network.state_dict(), "updates": self._average.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`; the network holds the checkpoint's weights already."""
        if state["trained"] is None:
            return
        own = self._backend.network.state_dict()
        if self._average is not None:
            self._average.restore(own, state["updates"])
        else:
            logger.warning(
                "training.ema_decay is 0 now: EMA disabled, training continues with the raw weights"
            )
        self._backend.network.load_state_dict(local_shards(state["trained"], own))
