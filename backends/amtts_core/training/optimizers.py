"""The optimizers of a learner, one per phase, with the gradient scaler of fp16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from amtts_core.config.sections import OptimConfig
from amtts_core.contract.learner import Learner
from amtts_core.errors import CheckpointError
from amtts_core.training.distributed.shards import local_shard
from amtts_core.training.optim import build_optimizer


class PhaseOptimizers:
    """One AdamW per phase of a learner.

    Args:
        accelerator: wraps them for its precision.
        learner: its parameters are on their device already.
        config: rates and decay.
        kinds: `id` of a parameter -> its field of `config.rates`.
    """

    def __init__(
        self, accelerator: Accelerator, learner: Learner, config: OptimConfig, *, kinds: Mapping[int, str]
    ) -> None:
        self._accelerator = accelerator
        self.by_phase: dict[str, torch.optim.Optimizer] = {
            phase: accelerator.prepare(build_optimizer(learner.parameters(phase), config, kinds=kinds))
            for phase in learner.phases
        }

    def state_dict(self) -> dict[str, Any]:
        """Moments and step counts of every phase, and the scaler's state where there is one."""
        scaler = self._accelerator.scaler
        return {
            "phases": {phase: optimizer.state_dict() for phase, optimizer in self.by_phase.items()},
            "scaler": scaler.state_dict() if scaler is not None else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`, with the parts' rates of today's settings.

        Raises:
            CheckpointError: a phase has other parameters now.
        """
        for phase, optimizer in self.by_phase.items():
            _load(optimizer, state["phases"][phase], phase)
        if state["scaler"] is not None and self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])


def _load(optimizer: torch.optim.Optimizer, stored: dict[str, Any], phase: str) -> None:
    groups = optimizer.param_groups
    sizes = [len(group["params"]) for group in groups]
    before = [len(group["params"]) for group in stored["param_groups"]]
    if sizes != before:
        raise CheckpointError(
            f"the optimizer of phase '{phase}' was stored with groups of {before} parameters, has {sizes} now",
            remedy="Resume with the training.optim.rates and training.freeze it was started with",
        )
    parameters = [parameter for group in groups for parameter in group["params"]]
    moments = {
        index: {
            name: local_shard(value, parameters[index]) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        for index, values in stored["state"].items()
    }
    rates = [group.get("rate", 1.0) for group in groups]
    optimizer.load_state_dict({**stored, "state": moments})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["rate"] = rate
