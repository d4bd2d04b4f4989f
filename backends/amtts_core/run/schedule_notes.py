"""What a user should know about the learning rate and early stopping before the first step of a run."""

from __future__ import annotations

import logging
from typing import Any

from amtts_core.config.sections import TrainingConfig
from amtts_core.training.optim import Schedule
from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)
JUMP = 0.02
"""Relative change of the learning rate that is worth a line."""


def report_warmup(config: TrainingConfig, total: int) -> None:
    """Warns of a run that ends within its warm-up.

    Args:
        config: of the run.
        total: its steps.
    """
    warmup = config.optim.warmup_steps
    if total < warmup:
        logger.warning(
            "training.optim.warmup_steps is %d and the run has %d steps: the learning rate only reaches %.2g of its "
            "peak. Lower it with --set training.optim.warmup_steps=%d",
            warmup,
            total,
            total / warmup,
            total // 10,
        )


def report_resume(trainer: Trainer, stored: TrainingConfig, state: dict[str, Any]) -> None:
    """Says what the schedule and early stopping do with a resumed run.

    Args:
        trainer: has its state again.
        stored: settings that the run had before.
        state: training state that it was resumed with.
    """
    steps, step = trainer.steps, trainer.steps.step
    if steps.finished:
        logger.warning(
            "run already finished (step %d of %d); raise --max-steps or --max-epochs to continue",
            step,
            steps.total,
        )
        return
    _report_rate(trainer, stored, state)
    stale, patience = trainer.early_stopping.stale, trainer.config.patience
    if trainer.early_stopping.should_stop(trainer.loader.epoch):
        logger.warning(
            "early stopping still applies: no progress in %d validations (training.patience %d), so the run stops "
            "after the next step. To continue: --set training.patience=%d, or 0 for no early stopping",
            stale,
            patience,
            stale + patience,
        )


def _report_rate(trainer: Trainer, stored: TrainingConfig, state: dict[str, Any]) -> None:
    step, before_total, total = trainer.steps.step, state["steps"]["total"], trainer.steps.total
    earlier = Schedule(stored.optim, min_delta=stored.min_delta)
    earlier.load_state_dict(state["schedule"])
    expected, now = earlier.rate(step, total=before_total), trainer.schedule.rate(step, total=total)
    last = earlier.rate(max(0, step - 1), total=before_total)
    if min(abs(now - expected), abs(now - last)) <= JUMP * expected:
        return
    why = (
        f" (the schedule ends at step {total} now, before at {before_total})" if total != before_total else ""
    )
    logger.warning(
        "the learning rate jumps from %.3g at step %d to %.3g at step %d%s. To keep it: "
        "--set training.optim.schedule=constant --set training.optim.learning_rate=%.3g",
        last,
        step,
        now,
        step + 1,
        why,
        last,
    )
