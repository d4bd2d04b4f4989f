"""What is done to the blocks that a backend declares: recomputed in the backward pass, compiled.

Neither changes the names in a state dict, nor what a copy of the network does.
"""

from __future__ import annotations

import importlib
import shutil
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError


def prepare_blocks(backend: Backend, config: TrainingConfig) -> None:
    """Applies `training.gradient_checkpointing` and `training.compile`.

    Raises:
        AmttsError: the backend declares no blocks, or inductor finds no C++ compiler.
    """
    if config.compile == "inductor" and not _has_compiler():
        raise AmttsError(
            "training.compile inductor needs a C++ compiler here (g++ or clang++), and none was found",
            remedy="Install one, or use --set training.compile=off",
        )
    settings = {
        "training.gradient_checkpointing": config.gradient_checkpointing,
        "training.compile": config.compile != "off",
    }
    for setting, wanted in settings.items():
        if wanted:
            blocks_of(backend, setting)
    if any(settings.values()):
        _replace_forward(blocks_of(backend, "training.compile"), config)


def _replace_forward(blocks: Sequence[nn.Module], config: TrainingConfig) -> None:
    forwards: dict[type[nn.Module], Callable[..., Any]] = {
        type(block): type(block).forward for block in blocks
    }
    if config.compile != "off":
        dynamo = importlib.import_module("torch._dynamo").config
        dynamo.recompile_limit = max(dynamo.recompile_limit, 8 * len(blocks))  # blocks share code, not sizes
        for kind, forward in forwards.items():  # dynamic: lengths differ from batch to batch
            forwards[kind] = torch.compile(forward, backend=config.compile, dynamic=True)
    for block in blocks:
        forward = _Forward(forwards[type(block)], recompute=config.gradient_checkpointing)
        block.forward = types.MethodType(forward, block)  # a bound method: a copy of it is bound to the copy


class _Forward:
    """A block's forward, compiled or not; with `recompute` what is inside is computed again in the backward pass
    (Chen et al. 2016), outside of what is compiled, so that dropout draws the same twice."""

    def __init__(self, plain: Callable[..., Any], *, recompute: bool) -> None:
        self.plain, self._recompute = plain, recompute

    def __call__(self, block: nn.Module, *inputs: Any, **named: Any) -> Any:
        if self._recompute and block.training and torch.is_grad_enabled():
            return checkpoint(self.plain, block, *inputs, use_reentrant=False, **named)
        return self.plain(block, *inputs, **named)


def blocks_of(backend: Backend, setting: str) -> Sequence[nn.Module]:
    """The backend's blocks, which `setting` needs.

    Raises:
        AmttsError: it declares none.
    """
    declared = backend.spec.blocks
    blocks = declared.of(backend).blocks() if declared else []
    if not blocks:
        raise AmttsError(
            f"{setting} cannot be used with backend '{backend.spec.name}': it declares no blocks",
            remedy=f"Leave {setting} as it is by default",
        )
    return blocks


def _has_compiler() -> bool:
    return torch.cuda.is_available() or any(shutil.which(name) for name in ("g++", "clang++", "c++"))
