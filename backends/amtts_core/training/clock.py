"""Where the loop's time went, and what a run reports about its speed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from amtts_core.training.callbacks import Outcome
from amtts_core.training.throughput import Meter, speeds

if TYPE_CHECKING:
    from amtts_core.training.trainer import Trainer


@dataclass
class Clock:
    """Counts of one process since the loop began; times in seconds."""

    started: float = 0.0
    meter: Meter = field(default_factory=Meter)

    def outcome(self, trainer: Trainer, *, reason: str, first: int, metrics: dict[str, float]) -> Outcome:
        """The run's report, summed over all processes (every one has to call this).

        Args:
            trainer: has just ended.
            reason: why it ended.
            first: step where it began.
            metrics: of the last validation.
        """
        seconds = max(time.monotonic() - self.started, 1e-9)
        total = trainer.processes.total(vars(self.meter))
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
            speed=speeds(trainer, self.meter),
            metrics=metrics,
            best_metric=trainer.judge.best,
            best_step=trainer.judge.best_step,
        )
