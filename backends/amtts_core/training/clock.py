"""What a run reports about its losses and its speed: since the last report, and since the loop began."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from amtts_core.contract.types import Batch
from amtts_core.data.dataset import SpeechDataset
from amtts_core.training.callbacks.base import Outcome, StepReport
from amtts_core.training.throughput import Meter, speeds

if TYPE_CHECKING:
    from amtts_core.training.trainer import Trainer


class Clock:
    """Counts of one process; times in seconds.

    Args:
        data: what is learnt.
        lengths: (N,) frames of its utterances.
        rows: id of an utterance -> its number.
    """

    def __init__(self, data: SpeechDataset, lengths: np.ndarray, rows: Mapping[str, int]) -> None:
        self._data, self._lengths, self._rows = data, lengths, rows
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = 0
        self.start()

    def start(self) -> None:
        """The loop begins."""
        self._started = time.monotonic()
        self._run, self._window, self._waited = Meter(), Meter(), 0.0

    def add(
        self, metrics: Mapping[str, float], group: list[Batch], *, seconds: float, waiting: float
    ) -> None:
        """Counts a step.

        Args:
            metrics: of the step.
            group: its batches.
            seconds: it took, without waiting for them.
            waiting: for batches since the loop began.
        """
        for name, value in metrics.items():
            self._sums[name] += value
        self._steps += 1
        window, waited = self._window, waiting - self._waited
        self._waited = waiting
        window.seconds += seconds + waited
        window.waiting += waited
        for batch in group:
            rows = [self._rows[name] for name in batch["ids"]]
            lengths = self._lengths[rows]
            window.utterances += len(rows)
            window.audio += sum(self._data.utterances[row].duration for row in rows)
            window.tokens += sum(len(self._data.tokens[row]) for row in rows)
            window.frames += int(lengths.sum())
            window.padded += int(lengths.max()) * len(rows)

    def report(self, trainer: Trainer, *, rate: float) -> StepReport:
        """The means since the last report that was due; this one, where it is due, is over all processes and ends them.

        Args:
            trainer: has just made a step.
            rate: learning rate of the step.
        """
        due = trainer.step % trainer.config.log_every == 0 or trainer.step == trainer.total_steps
        # Each process measured its part of the mean; they are put together where somebody reads them.
        sums = trainer.processes.total(self._sums) if due else self._sums
        share = trainer.processes.count if due else 1
        report = StepReport(
            step=trainer.step,
            epoch=trainer.epoch,
            total_steps=trainer.total_steps,
            metrics={name: value / self._steps / share for name, value in sums.items()}
            | {"train/learning_rate": rate},
            log_due=due,
            speed=speeds(trainer, self._window) if due else {},
        )
        if due:
            self._run.add(self._window)
            self._sums, self._steps, self._window = defaultdict(float), 0, Meter()
        return report

    def outcome(self, trainer: Trainer, *, reason: str, first: int, metrics: dict[str, float]) -> Outcome:
        """The run's report, summed over all processes (every one has to call this).

        Args:
            trainer: has just ended.
            reason: why it ended.
            first: step where it began.
            metrics: of the last validation.
        """
        self._run.add(self._window)  # steps since the last report
        seconds = max(time.monotonic() - self._started, 1e-9)
        total = trainer.processes.total(vars(self._run))
        return Outcome(
            reason=reason,
            step=trainer.step,
            epoch=trainer.epoch,
            seconds=seconds,
            steps_per_second=(trainer.step - first) / seconds,
            data_wait_share=trainer.feed.waiting / seconds,
            padding_share=trainer.sampler.padding_share(trainer.sampler.epoch(trainer.epoch)),
            audio_seconds_per_second=total["audio"] / seconds,
            utterances_per_second=total["utterances"] / seconds,
            tokens_per_second=total["tokens"] / seconds,
            skipped_batches=trainer.guard.skipped,
            speed=speeds(trainer, self._run),
            metrics=metrics,
            best_metric=trainer.judge.best,
            best_step=trainer.judge.best_step,
        )
