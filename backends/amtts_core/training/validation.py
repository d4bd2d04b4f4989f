"""Mean losses over the validation set."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor

from amtts_core.contract.learner import Learner
from amtts_core.data.dataset import SpeechDataset
from amtts_core.data.sampler import BucketSampler
from amtts_core.training.distributed.processes import Processes
from amtts_core.training.distributed.shards import Shards
from amtts_core.training.step import StepRunner

VALIDATION_RNG_KEY = "validation"
"""Every validation draws the same random numbers, so that validations can be compared."""


class Validator:
    """Measures one learner on one set; every process measures its share of the batches.

    Args:
        data: the validation set.
        sampler: its batches.
        learner: is put into evaluation mode.
        steps: computes losses in the run's precision.
        processes: of the run.
        shards: the network is sharded over the processes; there are no figures then.
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
        """Means weighted by utterances, and figures (H, W) of the batch in the middle."""
        self._evaluate()
        sums: dict[str, float] = defaultdict(float)
        figures: dict[str, Tensor] = {}
        batches = self._sampler.in_order()[self._processes.rank :: self._processes.count]
        for indices in batches:
            batch = self._steps.to_device(self._data.batch(indices))
            for loss in self._steps.losses(batch, rng_key=VALIDATION_RNG_KEY):
                prefix = self._steps.prefix(loss.phase, "val")
                for name, value in {"total": loss.total, **loss.terms}.items():
                    sums[prefix + name] += float(value) * len(indices)
            if self._shards is None and indices is batches[len(batches) // 2]:
                figures = self._learner.figures(batch)
        self._run_dummy_passes(
            math.ceil(len(self._sampler.in_order()) / self._processes.count) - len(batches)
        )
        metrics = {name: value / len(self._data) for name, value in self._processes.total(sums).items()}
        return metrics, figures

    def _run_dummy_passes(self, passes: int) -> None:
        """Keeps collectives aligned with processes that have more batches."""
        if self._shards is None:
            return
        for _ in range(passes):
            for _ in self._steps.losses(self._shards.dummy_batch(), rng_key=VALIDATION_RNG_KEY):
                pass
        self._shards.reshard()

    @torch.no_grad()
    def names(self) -> set[str]:
        """Names of the metrics of a validation, found out with its shortest utterance."""
        self._evaluate()
        shortest = int(self._sampler.durations.argmin())
        with torch.random.fork_rng():
            return {
                self._steps.prefix(loss.phase, "val") + name
                for loss in self._steps.losses(self._data.batch([shortest]), rng_key=VALIDATION_RNG_KEY)
                for name in ("total", *loss.terms)
            }

    def _evaluate(self) -> None:
        for module in self._learner.modules.values():
            module.eval()
