"""Batches in the order of the sampler, in groups of one optimiser step each, from any position on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from amtts_core.backend import Batch
from amtts_core.config import TrainingConfig
from amtts_core.data.dataset import SpeechDataset, prefetch
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError


class Feed:
    """Hands one process its batches; the position `(epoch, batch)` stands behind what was handed out.

    Args:
        data: makes batches.
        sampler: says which.
        accumulate: batches of one optimiser step.
        rank: number of this process.
    """

    def __init__(self, data: SpeechDataset, sampler: BucketSampler, *, accumulate: int, rank: int) -> None:
        self._data = data
        self._sampler = sampler
        self._accumulate = accumulate
        self._rank = rank
        self.epoch, self.batch = 0, 0
        self.waiting = 0.0
        """Seconds the loop waited for a batch."""
        self.size = 0
        """Batches that all processes have together in the last group."""

    def groups(self) -> Iterator[list[Batch]]:
        """Groups without end.

        Every process gets equally many groups; where batches do not divide, the last of some are empty.
        """
        while True:
            left = self._sampler.epoch(self.epoch, rank=self._rank)[self.batch :]
            group: list[Batch] = []
            stream = prefetch(self._data.batch, [indices for indices in left if indices])
            taken = 0
            for position, indices in enumerate(left):
                if indices:
                    waited = time.monotonic()
                    group.append(next(stream))
                    self.waiting += time.monotonic() - waited
                taken += 1
                last = position == len(left) - 1
                if taken == self._accumulate or last:
                    self.size = self._sampler.count(self.epoch, self.batch, self.batch + taken)
                    self.batch += taken
                    if last:
                        self.epoch, self.batch = self.epoch + 1, 0
                    yield group
                    group, taken = [], 0


def total_steps(config: TrainingConfig, sampler: BucketSampler, *, rank: int) -> int:
    """Steps of the whole run: the smaller of `max_steps` and what `max_epochs` come to.

    Raises:
        AmttsError: both are 0.
    """
    limit = config.max_steps
    if not limit and not config.max_epochs:
        raise AmttsError("training.max_steps and training.max_epochs are both 0", remedy="Set one of them")
    steps = 0
    for epoch in range(config.max_epochs):  # epochs differ by a batch or so; none stands for another
        steps += math.ceil(len(sampler.epoch(epoch, rank=rank)) / config.accumulate)
        if limit and steps >= limit:
            break
    return min(limit or steps, steps or limit)
