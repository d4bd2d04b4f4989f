"""Which step a run is at, and how many it has in all."""

from __future__ import annotations

import logging
import math
from typing import Any

from amtts_core.config.sections import TrainingConfig
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError
from amtts_core.training.batch_loader import BatchLoader

logger = logging.getLogger(__name__)


class StepCounter:
    """Counts optimizer steps.

    Args:
        config: `max_steps` and `max_epochs` say where the run ends.
        loader: whose batches the steps are made of.

    Raises:
        AmttsError: the settings name no end.
    """

    def __init__(self, config: TrainingConfig, loader: BatchLoader) -> None:
        self._config, self._loader = config, loader
        self.step = 0
        """Steps that are done."""
        self._origin = (0, 0, 0)
        """Step, epoch and batch from which on a step has as many batches as now."""
        self.total = self._total()

    @property
    def finished(self) -> bool:
        """True after the last step."""
        return self.step >= self.total

    def _total(self) -> int:
        loader = self._loader
        return total_steps(
            self._config, loader.sampler, batches_per_step=loader.batches_per_step, origin=self._origin
        )

    def state_dict(self) -> dict[str, Any]:
        """The step, and what the number of all steps follows from."""
        return {
            "step": self.step,
            "origin": list(self._origin),
            "batches_per_step": self._loader.batches_per_step,
            "total": self.total,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`; the loader's position is restored already."""
        loader, before = self._loader, state["batches_per_step"]
        self.step, self._origin = state["step"], tuple(state["origin"])
        if before != loader.batches_per_step:
            logger.warning(
                "an optimizer step has %d batches now (processes x training.accumulate), before it had %d: the epoch "
                "continues where it was, and later steps differ from those of the run as it was started",
                loader.batches_per_step,
                before,
            )
            self._origin = (self.step, loader.epoch, loader.batch)
        self.total = self._total()


def total_steps(
    config: TrainingConfig,
    sampler: BucketSampler,
    *,
    batches_per_step: int,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> int:
    """Steps of the whole run: the smaller of `max_steps` and the steps of `max_epochs`.

    Args:
        config: of the run.
        sampler: of its training data.
        batches_per_step: of all processes together.
        origin: step, epoch and batch from which on steps have that many; other than 0 where it was changed on resume.

    Raises:
        AmttsError: both are 0.
    """
    limit = config.max_steps
    if not limit and not config.max_epochs:
        raise AmttsError("training.max_steps and training.max_epochs are both 0", remedy="Set one of them")
    steps, first, done = origin
    for epoch in range(first, config.max_epochs):  # epochs differ by a batch or so: each is counted
        steps += math.ceil((len(sampler.epoch(epoch)) - done) / batches_per_step)
        done = 0
        if limit and steps >= limit:
            break
    if not config.max_epochs:
        return limit
    return min(limit or steps, steps)
