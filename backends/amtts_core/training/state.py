"""What of a running training, besides the weights, decides how it goes on: taken into a checkpoint and put back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from amtts_core.data.mixed_dataset import MixedDataset
from amtts_core.errors import CheckpointError
from amtts_core.training.distributed.shards import part_of, parts_of

if TYPE_CHECKING:
    from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)


def capture(trainer: Trainer) -> dict[str, Any]:
    """The state of a run, from the view of its main process; all others hold the same."""
    scaler, average = trainer.accelerator.scaler, trainer.average
    return {
        "step": trainer.step,
        "epoch": trainer.epoch,
        "batch": trainer.batch,
        "seen": trainer.seen,
        "best": trainer.judge.best,
        "best_step": trainer.judge.best_step,
        "stale": trainer.judge.stale,
        "schedule": trainer.schedule.state(),
        "order": order(trainer),
        "per_step": trainer.feed.per_step,
        "origin": list(trainer.origin),
        "samples_bytes": trainer.ledger.size(),
        "bad_batches_bytes": trainer.guard.size(),
        "bad_in_a_row": trainer.guard.in_a_row,
        "skipped": trainer.guard.skipped,
        "split": trainer.steps.split,
        # With an average the checkpoint's model is the average: what is trained is kept here.
        "weights": trainer.backend.network.state_dict() if average is not None else None,
        "average_updates": average.updates if average is not None else 0,
        "optimizers": {phase: optimizer.state_dict() for phase, optimizer in trainer.optimizers.items()},
        "scaler": scaler.state_dict() if scaler is not None else None,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def order(trainer: Trainer) -> dict[str, int]:
    """What decides which batch is the n-th of an epoch, so that a position means something."""
    sampler, data = trainer.sampler, trainer.train_data
    found = {
        "training.seed": sampler.seed,
        "data.batch_frames": sampler.batch_frames,
        "data.max_utterances": sampler.max_utterances,
    }
    if isinstance(data, MixedDataset):
        found["replayed utterances"] = data.draw(0).count
    return found


def restore(trainer: Trainer, state: dict[str, Any], *, same_data: bool) -> None:
    """Puts everything back. What depends on the order of batches is dropped, aloud, where that order changed."""
    if "per_step" not in state:
        raise CheckpointError(
            "the training state of this checkpoint was written by an earlier amtts and cannot be continued",
            remedy="Begin again with --from-scratch, or in another --out",
        )
    feed, judge = trainer.feed, trainer.judge
    trainer.step, feed.epoch, feed.batch = state["step"], state["epoch"], state["batch"]
    trainer.seen = state["seen"]
    judge.best, judge.best_step, judge.stale = state["best"], state["best_step"], state["stale"]
    for phase, optimizer in trainer.optimizers.items():
        _restore_optimizer(optimizer, state["optimizers"][phase], phase)
    if state["scaler"] is not None and trainer.accelerator.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    trainer.guard.in_a_row, trainer.guard.skipped = state["bad_in_a_row"], state["skipped"]
    trainer.steps.split = state["split"]
    torch.set_rng_state(state["random"])
    if state["random_cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random_cuda"])
    if trainer.processes.main:
        trainer.ledger.cut(state["samples_bytes"])
        if "bad_batches_bytes" in state:  # checkpoints of an earlier amtts did not say
            trainer.guard.cut(state["bad_batches_bytes"])
    if state["weights"] is not None:
        own = trainer.backend.network.state_dict()
        if trainer.average is not None:
            trainer.average.restore(own, state["average_updates"])
        else:
            logger.warning(
                "training.ema_decay is 0 now: the average is let go, training goes on with its own weights"
            )
        trainer.backend.network.load_state_dict(parts_of(state["weights"], own))
    _restore_order(trainer, state, same_data=same_data)
    trainer.schedule.restore(state["schedule"])


def _restore_order(trainer: Trainer, state: dict[str, Any], *, same_data: bool) -> None:
    own, stored = order(trainer), state["order"]
    changed = [
        f"{name} was {stored.get(name)}, is now {own.get(name)}"
        for name in {**stored, **own}
        if stored.get(name) != own.get(name)
    ]
    if not same_data:
        changed.append("other data")
    if changed and trainer.batch:
        logger.warning("%s: epoch %d begins anew, in another order", ", ".join(changed), trainer.epoch)
        trainer.feed.batch = trainer.seen = 0
    trainer.origin = tuple(state["origin"])
    before, now = state["per_step"], trainer.feed.per_step
    if before != now:
        logger.warning(
            "a step learns from %d batches now (processes x training.accumulate), before from %d: the epoch goes on "
            "where it was, and later steps are not those of the run as it was started",
            now,
            before,
        )
    trainer.count_steps(from_here=before != now)


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
    parameters = [parameter for group in groups for parameter in group["params"]]
    moments = {
        row: {
            name: part_of(value, parameters[row]) if isinstance(value, torch.Tensor) else value
            for name, value in values.items()
        }
        for row, values in stored["state"].items()
    }
    rates = [group.get("rate", 1.0) for group in groups]
    optimizer.load_state_dict({**stored, "state": moments})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["rate"] = rate
