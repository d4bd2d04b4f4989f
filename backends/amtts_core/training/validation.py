"""Mean losses over the validation set, and what follows from them: which checkpoint is best, when to stop."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Collection

import torch
from torch import Tensor

from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.learner import Learner
from amtts_core.data.dataset import SpeechDataset
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError
from amtts_core.training.distributed.processes import Processes
from amtts_core.training.distributed.shards import Shards
from amtts_core.training.step import StepRunner

logger = logging.getLogger(__name__)
LOT = "validation"
"""What is random in a validation is the same each time, so that validations can be compared."""


class Validator:
    """Measures one learner on one set; every process measures its share of the batches.

    Args:
        data: the validation set.
        sampler: its batches.
        learner: is put into evaluation mode.
        steps: computes losses in the run's precision.
        processes: put their shares together.
        shards: the network is split over the processes; there are no figures then.
    """

    def __init__(
        self,
        data: SpeechDataset,
        sampler: BucketSampler,
        *,
        learner: Learner,
        steps: StepRunner,
        processes: Processes,
        shards: Shards | None = None,
    ) -> None:
        self._data, self._sampler, self._shards = data, sampler, shards
        self._learner, self._steps, self._processes = learner, steps, processes

    @torch.no_grad()
    def measure(self) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Means weighted by utterances, and figures (H, W) of a middling batch."""
        self._evaluate()
        sums: dict[str, float] = defaultdict(float)
        figures: dict[str, Tensor] = {}
        batches = self._sampler.in_order()[self._processes.rank :: self._processes.count]
        for indices in batches:
            batch = self._steps.to_device(self._data.batch(indices))
            for loss in self._steps.losses(batch, lot=LOT):
                prefix = self._steps.prefix(loss.phase, "val")
                for name, value in {"total": loss.total, **loss.terms}.items():
                    sums[prefix + name] += float(value) * len(indices)
            if self._shards is None and indices is batches[len(batches) // 2]:
                figures = self._learner.figures(batch)
        self._fill_up(math.ceil(len(self._sampler.in_order()) / self._processes.count) - len(batches))
        metrics = {name: value / len(self._data) for name, value in self._processes.total(sums).items()}
        return metrics, figures

    def _fill_up(self, passes: int) -> None:
        """Passes that count nothing, for other processes that have more batches and need this one for each."""
        if self._shards is None:
            return
        for _ in range(passes):
            for _ in self._steps.losses(self._shards.spare(), lot=LOT):
                pass
        self._shards.settle()

    @torch.no_grad()
    def names(self) -> set[str]:
        """What a validation measures, told by its shortest utterance."""
        self._evaluate()
        shortest = int(self._sampler.lengths.argmin())
        with torch.random.fork_rng():
            return {
                self._steps.prefix(loss.phase, "val") + name
                for loss in self._steps.losses(self._data.batch([shortest]), lot=LOT)
                for name in ("total", *loss.terms)
            }

    def _evaluate(self) -> None:
        for module in self._learner.modules.values():
            module.eval()


class Judge:
    """Remembers the best validation, and when the last progress was.

    Args:
        config: `best_by`, `min_delta`, `patience` and `min_epochs` decide.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self.best: float | None = None
        self.best_step: int | None = None
        self.stale = 0
        """Validations without progress since the last one with."""

    def check(self, measured: Collection[str]) -> None:
        """Refuses a `training.best_by` that no validation measures.

        Raises:
            AmttsError: names what is measured.
        """
        if measured and self._config.best_by not in measured:
            raise AmttsError(
                f"training.best_by is '{self._config.best_by}', which is not measured; "
                f"measured: {', '.join(sorted(measured))}"
            )

    def hear(self, metrics: dict[str, float], step: int) -> None:
        """Takes in a validation; without metrics nothing is learnt from it."""
        if not metrics:
            return
        value = metrics[self._config.best_by]
        if not math.isfinite(value):
            logger.warning(
                "step %d: %s is %s, which counts as no progress", step, self._config.best_by, value
            )
            self.stale += 1
        elif self.best is None or value < self.best - self._config.min_delta:
            self.best, self.best_step, self.stale = value, step, 0
        else:
            self.stale += 1

    def gives_up(self, epoch: int) -> bool:
        """True when the patience is over and the earliest epoch for that has passed."""
        patience = self._config.patience
        return bool(patience) and self.stale >= patience and epoch >= self._config.min_epochs
