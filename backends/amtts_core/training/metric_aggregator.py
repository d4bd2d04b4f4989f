"""Means of a run's metrics since the last report, and its speed since then and since the loop began."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amtts_core.contract.types import Batch
from amtts_core.training.distributed.processes import Processes
from amtts_core.training.throughput import SpeedMeter, ThroughputCounter, UtteranceSizes
from amtts_core.units import Seconds


@dataclass(frozen=True, kw_only=True)
class RunTotals:
    """Sums since the loop began, over all processes."""

    seconds: Seconds
    """Of the loop, with validation, samples and checkpoints."""
    audio: Seconds
    utterances: float
    tokens: float
    speed: dict[str, float]
    """Of training steps alone, see `SpeedMeter.speeds`."""


class MetricAggregator:
    """Aggregates the metrics and counts of one process; `report` and `totals` reduce them over all.

    Args:
        sizes: of the utterances that are trained on.
        speed: turns counts into speeds.
        processes: of the run.
    """

    def __init__(self, sizes: UtteranceSizes, speed: SpeedMeter, processes: Processes) -> None:
        self._sizes, self._speed, self._processes = sizes, speed, processes
        self.start()

    def start(self) -> None:
        """The loop begins: everything is 0."""
        self._started = time.monotonic()
        self._all, self._window, self._waited = ThroughputCounter(), ThroughputCounter(), 0.0
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = 0

    def add(
        self, metrics: Mapping[str, float], batches: Sequence[Batch], *, seconds: Seconds, waited: Seconds
    ) -> None:
        """Counts a step.

        Args:
            metrics: of the step.
            batches: of this process.
            seconds: that it took, without waiting for its batches.
            waited: for batches since the loop began.
        """
        for name, value in metrics.items():
            self._sums[name] += value
        self._steps += 1
        waiting, self._waited = waited - self._waited, waited
        self._window.add(self._sizes.of(batches, seconds=seconds + waiting, waiting=waiting))

    def means(self, *, reduce: bool) -> tuple[dict[str, float], dict[str, float]]:
        """Mean of every metric since the last reduced report, and the speeds since then.

        Args:
            reduce: over all processes, and begin a new window; every process has to call this then. Otherwise the
                means are this process's share, and there are no speeds.
        """
        if not reduce:
            return {name: value / self._steps for name, value in self._sums.items()}, {}
        # Each process measured its part of the mean: the sum over the processes is that of all.
        total = self._processes.total(self._sums)
        means = {name: value / self._steps / self._processes.count for name, value in total.items()}
        speeds = self._speed.speeds(self._window)
        self._all.add(self._window)
        self._sums, self._steps, self._window = defaultdict(float), 0, ThroughputCounter()
        return means, speeds

    def totals(self) -> RunTotals:
        """Everything since the loop began; every process has to call this."""
        self._all.add(self._window)  # steps since the last report
        self._window = ThroughputCounter()
        total = self._processes.total(vars(self._all))
        return RunTotals(
            seconds=max(time.monotonic() - self._started, 1e-9),
            audio=total["audio"],
            utterances=total["utterances"],
            tokens=total["tokens"],
            speed=self._speed.speeds(self._all),
        )
