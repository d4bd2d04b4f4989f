"""Which utterances form which batch: buckets of like length within a budget, a pure function of (seed, epoch).

Its whole state is therefore two numbers, `(epoch, batch)`: a resumed run repeats nothing and loses nothing. It knows of
no processes: they take turns at the same order of batches, so their number may change in the middle of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from amtts_core.units import Seconds

JITTER = 0.03
"""Relative jitter of durations before sorting: more of it varies the batches of an utterance, and adds padding."""
ROUNDING: Seconds = 1e-6
"""Tolerance of the budget: durations are rounded."""


class BucketSampler:
    """Length-bucketed batches, different every epoch, the same for the same seed.

    Args:
        durations: of each utterance.
        batch_seconds: budget of one batch, padding included; a longer utterance forms a batch of its own.
        max_utterances: utterances of one batch at most.
        seed: of the order.
        members: epoch -> numbers of its utterances, (N,); None takes all every time.
    """

    def __init__(
        self,
        durations: Sequence[Seconds],
        *,
        batch_seconds: Seconds,
        max_utterances: int,
        seed: int,
        members: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self.durations = np.asarray(durations, dtype=np.float64)
        self.batch_seconds = batch_seconds
        self.max_utterances = max_utterances
        self.seed = seed
        self._members = members
        self._plan: tuple[int, list[list[int]]] = (-1, [])

    def epoch(self, epoch: int) -> list[list[int]]:
        """The batches of one epoch: every utterance exactly once, no batch empty."""
        if self._plan[0] != epoch:
            self._plan = (epoch, self._plan_of(epoch))
        return self._plan[1]

    def size(self, epoch: int) -> int:
        """Utterances of an epoch."""
        return len(self._members(epoch)) if self._members else len(self.durations)

    def _plan_of(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng([self.seed, epoch])
        members = self._members(epoch) if self._members else np.arange(len(self.durations))
        durations = self.durations[members]
        jitter = random.uniform(1 - JITTER, 1 + JITTER, len(durations))
        order = np.lexsort((random.random(len(durations)), durations * jitter))
        batches = self._cut(members[order])
        return [batches[i] for i in random.permutation(len(batches))]

    def in_order(self) -> list[list[int]]:
        """Batches sorted by duration, for validation."""
        return self._cut(np.argsort(self.durations, kind="stable"))

    def _cut(self, order: np.ndarray) -> list[list[int]]:
        batches: list[list[int]] = []
        current: list[int] = []
        longest = 0.0
        for index in order.tolist():
            duration = float(self.durations[index])
            padded = max(longest, duration) * (len(current) + 1)
            if current and (padded > self.batch_seconds + ROUNDING or len(current) >= self.max_utterances):
                batches.append(current)
                current, longest = [], 0.0
            current.append(index)
            longest = max(longest, duration)
        if current:
            batches.append(current)
        return batches

    def padding_share(self, batches: Sequence[Sequence[int]]) -> float:
        """Share of the seconds of `batches` that are padding."""
        batches = [batch for batch in batches if batch]
        padded = sum(float(self.durations[list(b)].max()) * len(b) for b in batches)
        return 1 - sum(float(self.durations[list(b)].sum()) for b in batches) / padded if padded else 0.0
