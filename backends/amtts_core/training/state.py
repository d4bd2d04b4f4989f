"""What of a running training, besides the weights, decides how it goes on: taken into a checkpoint and put back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from amtts_core.errors import CheckpointError

if TYPE_CHECKING:
    from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)


def capture(trainer: Trainer) -> dict[str, Any]:
    """The state of all processes; every one of them has to call this."""
    scaler, average = trainer.accelerator.scaler, trainer.average
    return {
        "step": trainer.step,
        "epoch": trainer.epoch,
        "batch": trainer.batch,
        "best": trainer.judge.best,
        "best_step": trainer.judge.best_step,
        "stale": trainer.judge.stale,
        "schedule": trainer.schedule.state(),
        "order": trainer.order(),
        "bad_in_a_row": trainer.guard.in_a_row,
        "skipped": trainer.guard.skipped,
        "split": trainer.steps.split,
        # With an average the checkpoint's model is the average: what is trained is kept here.
        "weights": trainer.backend.network.state_dict() if average is not None else None,
        "average_updates": average.updates if average is not None else 0,
        "optimizers": {phase: optimizer.state_dict() for phase, optimizer in trainer.optimizers.items()},
        "scaler": scaler.state_dict() if scaler is not None else None,
        "processes": trainer.processes.gather(_of_this_process(trainer)),
    }


def _of_this_process(trainer: Trainer) -> dict[str, Any]:
    return {
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "samples_bytes": trainer.ledger.size(),
        "seen": trainer.seen,
    }


def restore(trainer: Trainer, state: dict[str, Any], *, same_data: bool) -> None:
    """Puts everything back. What depends on the order of batches is dropped, aloud, where that order changed."""
    feed, judge = trainer.feed, trainer.judge
    trainer.step, feed.epoch, feed.batch = state["step"], state["epoch"], state["batch"]
    judge.best, judge.best_step, judge.stale = state["best"], state["best_step"], state["stale"]
    trainer.schedule.restore(
        state.get("schedule") or trainer.schedule.state()
    )  # absent before there was plateau
    for phase, optimizer in trainer.optimizers.items():
        _restore_optimizer(optimizer, state["optimizers"][phase], phase)
    if state["scaler"] is not None and trainer.accelerator.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    trainer.guard.in_a_row, trainer.guard.skipped = state["bad_in_a_row"], state["skipped"]
    trainer.steps.split = state["split"]
    _restore_process(trainer, state["processes"])
    if trainer.average is not None and state["weights"] is not None:
        trainer.average.restore(trainer.backend.network.state_dict(), state["average_updates"])
        trainer.backend.network.load_state_dict(state["weights"])
    own, stored = trainer.order(), state["order"]
    changed = [
        f"{name} was {stored.get(name)}, is now {own.get(name)}"
        for name in {**stored, **own}
        if stored.get(name) != own.get(name)
    ]
    if not same_data:
        changed.append("other data")
    if changed and trainer.batch:
        logger.warning("%s: epoch %d begins anew, in another order", ", ".join(changed), trainer.epoch)
        feed.batch = trainer.seen = 0


def _restore_optimizer(optimizer: Any, stored: dict[str, Any], phase: str) -> None:
    """Moments and counts are the stored ones, the parts' rates those of today's settings."""
    groups = optimizer.param_groups
    sizes = [len(group["params"]) for group in groups]
    before = [len(group["params"]) for group in stored["param_groups"]]
    if sizes != before:
        raise CheckpointError(
            f"the optimiser of phase '{phase}' was stored with groups of {before} parameters, has {sizes} now",
            remedy="Resume with the training.optim.rates and training.freeze it was started with",
        )
    rates = [group.get("rate", 1.0) for group in groups]
    optimizer.load_state_dict(stored)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["rate"] = rate


def _restore_process(trainer: Trainer, stored: list[dict[str, Any]]) -> None:
    """What each process has of its own; ledgers of processes that are no more are cut back by the main one."""
    rank, world = trainer.processes.rank, trainer.processes.count
    mine = stored[rank] if rank < len(stored) else None
    trainer.ledger.cut(mine["samples_bytes"] if mine else 0)
    if trainer.processes.main:
        for gone in range(world, len(stored)):
            trainer.ledger.of(gone).cut(stored[gone]["samples_bytes"])
    if mine is not None:
        torch.set_rng_state(mine["random"])
        if mine["random_cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(mine["random_cuda"])
        trainer.seen = mine["seen"]
