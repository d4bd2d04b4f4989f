"""Batches in the order of the sampler, in groups of one optimizer step each, from any position on.

The order is one for all processes: batch 0 goes to process 0, batch 1 to process 1, and so on within every group. A
position in an epoch therefore means the same whatever the number of processes, and a run may change that number at
any step without losing or repeating an utterance.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from amtts_core.config.sections import DataConfig, TrainingConfig
from amtts_core.contract.types import Batch
from amtts_core.data.dataset import SpeechDataset, prefetch
from amtts_core.data.mixed_dataset import MixedDataset
from amtts_core.data.sampler import BucketSampler

logger = logging.getLogger(__name__)


class BatchLoader:
    """Gives one process its batches; the position `(epoch, batch)` is behind the group that all processes got last.

    Args:
        data: makes batches.
        sampler: says which.
        accumulate: batches of one optimizer step on each process.
        rank, world: number of this process, and of all.
    """

    def __init__(
        self, data: SpeechDataset, sampler: BucketSampler, *, accumulate: int, rank: int, world: int
    ) -> None:
        self.data, self.sampler = data, sampler
        self._rank, self._world = rank, world
        self.batches_per_step = accumulate * world
        """Batches of one optimizer step on all processes together; fewer at the end of an epoch."""
        self.epoch, self.batch = 0, 0
        """Epoch of the next batch, and its number there."""
        self.utterances_seen = 0
        """Utterances of this epoch that the loop took, see `take_epoch_count`."""
        self.waiting = 0.0
        """Seconds the loop waited for batches."""
        self.last_group: list[list[int]] = []
        """The last group of all processes together, as utterance indices."""
        self.last_epoch = 0
        """The epoch of `last_group`."""

    def groups(self) -> Iterator[list[Batch]]:
        """Groups without end, each as this process's share.

        Every process gets equally many groups; at the end of an epoch the share of some may be empty.
        """
        while True:
            left = self.sampler.epoch(self.epoch)[self.batch :]
            starts = range(0, len(left), self.batches_per_step)
            shares = [
                left[start : start + self.batches_per_step][self._rank :: self._world] for start in starts
            ]
            make = partial(self.data.batch, epoch=self.epoch)
            stream = prefetch(make, [indices for share in shares for indices in share])
            for start, share in zip(starts, shares, strict=True):
                waited = time.monotonic()
                group = [next(stream) for _ in share]
                self.waiting += time.monotonic() - waited
                self.last_epoch = self.epoch
                self.last_group = left[start : start + self.batches_per_step]
                self.batch += len(self.last_group)
                if start == starts[-1]:
                    self.epoch, self.batch = self.epoch + 1, 0
                yield group

    @cached_property
    def _index(self) -> dict[str, int]:
        return {utterance.id: index for index, utterance in enumerate(self.data.utterances)}

    def last_ids(self) -> list[str]:
        """Ids of the utterances of `last_group`; they count as seen."""
        ids = [self.data.utterances[index].id for indices in self.last_group for index in indices]
        self.utterances_seen += len(ids)
        return ids

    def rebatch(self, ids: Sequence[str]) -> Batch:
        """A batch of some utterances of the last group, for when memory ran out."""
        return self.data.batch([self._index[name] for name in ids], epoch=self.last_epoch)

    def take_epoch_count(self) -> int:
        """Utterances of the epoch that just ended; the count begins again."""
        seen, self.utterances_seen = self.utterances_seen, 0
        return seen

    def padding_share(self) -> float:
        """Share of the seconds of this epoch's batches that are padding."""
        return self.sampler.padding_share(self.sampler.epoch(self.epoch))

    def state_dict(self) -> dict[str, Any]:
        """The position, and what the order of batches follows from."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "utterances_seen": self.utterances_seen,
            "order": self._order(),
        }

    def load_state_dict(self, state: dict[str, Any], *, same_data: bool = True) -> None:
        """Continues from `state_dict`. Where the order of batches changed, the epoch begins again, with a warning.

        Args:
            state: as `state_dict` returned it.
            same_data: False where the utterances are others.
        """
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.utterances_seen = state["utterances_seen"]
        own, stored = self._order(), state["order"]
        changed = [
            f"{name} was {stored.get(name)}, is now {own.get(name)}"
            for name in {**stored, **own}
            if stored.get(name) != own.get(name)
        ]
        if not same_data:
            changed.append("other data")
        if changed and self.batch:
            logger.warning("%s: epoch %d begins again, in another order", ", ".join(changed), self.epoch)
            self.batch = self.utterances_seen = 0

    def _order(self) -> dict[str, float]:
        """What decides which batch is the n-th of an epoch, so that a position means something."""
        found: dict[str, float] = {
            "training.seed": self.sampler.seed,
            "data.batch_seconds": self.sampler.batch_seconds,
            "data.max_utterances": self.sampler.max_utterances,
        }
        if isinstance(self.data, MixedDataset):
            found["replayed utterances"] = self.data.draw(0).count
        return found


def sampler_of(dataset: SpeechDataset, data: DataConfig, training: TrainingConfig) -> BucketSampler:
    """The order of a dataset's batches, as the settings say."""
    return BucketSampler(
        [utterance.duration for utterance in dataset.utterances],
        members=dataset.draw(training.seed) if isinstance(dataset, MixedDataset) else None,
        batch_seconds=data.batch_seconds,
        max_utterances=data.max_utterances,
        seed=training.seed,
    )
