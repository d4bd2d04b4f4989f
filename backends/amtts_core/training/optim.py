"""Optimisers and learning-rate schedules. The rate is a pure function of the step, so it needs no state."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from amtts_core.config import OptimConfig


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimConfig) -> torch.optim.AdamW:
    """AdamW; biases, norms and other vectors are not decayed."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.is_cuda for p in parameters) and bool(parameters)
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=config.learning_rate, betas=config.betas, fused=fused
    )


def rate_factor(step: int, total: int, config: OptimConfig) -> float:
    """Learning rate at `step` (0 is the first) over the peak.

    Args:
        step: optimiser steps already done.
        total: steps of the whole run, for the schedules that end.
        config: kind of decay, warm-up and last ratio.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "inverse-sqrt":
        start = max(1, config.warmup_steps)
        return max(config.final_ratio, math.sqrt(start / max(start, step + 1)))
    share = min(1.0, (step - config.warmup_steps) / max(1, total - config.warmup_steps))
    if config.schedule == "linear":
        return 1 - (1 - config.final_ratio) * share
    if config.schedule == "exponential":
        return max(config.final_ratio, 1e-4) ** share
    return config.final_ratio + (1 - config.final_ratio) * 0.5 * (1 + math.cos(math.pi * share))
