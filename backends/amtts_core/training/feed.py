"""Batches in the order of the sampler, in groups of one optimiser step each, from any position on.

The order is one for all processes, which take turns at it: batch 0 goes to process 0, batch 1 to process 1, and so on
within every group. A position in an epoch therefore means the same whatever the number of processes, and a run may
change that number at any step without losing or repeating an utterance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial

from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.types import Batch
from amtts_core.data.dataset import SpeechDataset, prefetch
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError


class Feed:
    """Hands one process its batches; the position `(epoch, batch)` stands behind what was handed out to all.

    Args:
        data: makes batches.
        sampler: says which.
        accumulate: batches of one optimiser step on each process.
        rank, world: number of this process, and of all.
    """

    def __init__(
        self, data: SpeechDataset, sampler: BucketSampler, *, accumulate: int, rank: int, world: int
    ) -> None:
        self._data = data
        self._sampler = sampler
        self._rank, self._world = rank, world
        self.per_step = accumulate * world
        """Batches of one optimiser step on all processes together; fewer at the end of an epoch."""
        self.epoch, self.batch = 0, 0
        self.waiting = 0.0
        """Seconds the loop waited for a batch."""
        self.handed: list[list[int]] = []
        """The last group on all processes together, as utterance indices."""
        self.handed_epoch = 0
        """The epoch it is of."""

    def groups(self) -> Iterator[list[Batch]]:
        """Groups without end, each as this process's share.

        Every process gets equally many groups; at the end of an epoch the share of some may be empty.
        """
        while True:
            left = self._sampler.epoch(self.epoch)[self.batch :]
            starts = range(0, len(left), self.per_step)
            shares = [left[start : start + self.per_step][self._rank :: self._world] for start in starts]
            make = partial(self._data.batch, epoch=self.epoch)
            stream = prefetch(make, [indices for share in shares for indices in share])
            for start, share in zip(starts, shares, strict=True):
                waited = time.monotonic()
                group = [next(stream) for _ in share]
                self.waiting += time.monotonic() - waited
                self.handed_epoch = self.epoch
                self.handed = left[start : start + self.per_step]
                self.batch += len(self.handed)
                if start == starts[-1]:
                    self.epoch, self.batch = self.epoch + 1, 0
                yield group


def total_steps(
    config: TrainingConfig, sampler: BucketSampler, *, per_step: int, origin: tuple[int, int, int] = (0, 0, 0)
) -> int:
    """Steps of the whole run: the smaller of `max_steps` and what `max_epochs` come to.

    Args:
        config: of the run.
        sampler: of its training data.
        per_step: batches of a step on all processes together.
        origin: step, epoch and batch from which on steps have that many; other than 0 where it was changed on resume.

    Raises:
        AmttsError: both are 0.
    """
    limit = config.max_steps
    if not limit and not config.max_epochs:
        raise AmttsError("training.max_steps and training.max_epochs are both 0", remedy="Set one of them")
    steps, first, done = origin
    for epoch in range(first, config.max_epochs):  # epochs differ by a batch or so; none stands for another
        steps += math.ceil((len(sampler.epoch(epoch)) - done) / per_step)
        done = 0
        if limit and steps >= limit:
            break
    if not config.max_epochs:
        return limit
    return min(limit or steps, steps)
