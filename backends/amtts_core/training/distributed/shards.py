"""`training.shard`: one network split over all processes (FSDP2), for one that does not fit into each of them.

Every process keeps a part of every weight, gradient and moment; the weights of a block are gathered while it computes
(Zhao et al. 2023). Gradients are summed and split after the last backward pass of a step. Checkpoints hold whole
tensors: a run may be resumed split or not, on any number of processes.

Gathering needs all processes at once. So where one has fewer batches than another it makes passes that count nothing,
a batch with a loss that is not finite is passed through before the step is skipped, and memory that runs out ends the
run instead of cutting batches.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.learner import Learner
from amtts_core.contract.types import Batch
from amtts_core.errors import AmttsError
from amtts_core.training.blocks import blocks_of
from amtts_core.training.distributed.processes import Processes

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor
    from typing_extensions import TypeIs

logger = logging.getLogger(__name__)
SETTING = "training.shard"


def check_shard_settings(training: TrainingConfig, *, auto_batch: bool = False) -> None:
    """Refuses settings that do not work together with `training.shard`.

    Raises:
        AmttsError: names one.
    """
    if not training.shard:
        return
    others = {
        "--auto-batch": auto_batch,
        "training.precision fp16": training.precision == "fp16",
        f"training.type {training.type}": training.type != "full",
        f"training.compile {training.compile}": training.compile != "off",
        "training.guard": bool(training.guard.old_text or training.guard.old_data),
    }
    for name, given in others.items():
        if given:
            raise AmttsError(
                f"{SETTING} and {name} exclude each other",
                remedy=f"Leave one out, e.g. --set {SETTING}=false",
            )


class Shards:
    """A learner's modules, split over the processes; `inference_backend` is what samples are spoken with.

    Args:
        backend: declares the blocks; its weights are loaded, and the same on every process.
        learner: has one phase.
        device: of the network.
        count: processes.
        dummy_batch: makes the dummy batch that keeps collectives aligned.

    Raises:
        AmttsError: the backend declares no blocks, or has several phases.
    """

    def __init__(
        self,
        backend: Backend,
        learner: Learner,
        *,
        device: torch.device,
        count: int,
        dummy_batch: Callable[[], Batch],
    ) -> None:
        self.dummy_batch = dummy_batch
        self.inference_backend: Backend | None = None
        if len(learner.phases) != 1:
            raise AmttsError(
                f"{SETTING} cannot be used with backend '{backend.spec.name}': it trains in "
                f"{len(learner.phases)} phases ({', '.join(learner.phases)})",
                remedy=f"Use --set {SETTING}=false",
            )
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self._device = device
        mesh = init_device_mesh(device.type, (count,))
        outside = backend.spec.blocks_read_outside
        read = {id(block) for block in outside.of(backend).blocks_read_outside()} if outside else set()
        for block in blocks_of(backend, SETTING):
            if (
                id(block) not in read
            ):  # one whose weights are read from outside stays gathered, as the rest does
                fully_shard(block, mesh=mesh)
        self._modules: list[FSDPModule] = [
            fully_shard(module, mesh=mesh) for module in learner.modules.values()
        ]
        tensors = list(backend.network.parameters())
        mine = sum(t.to_local().numel() if _is_sharded(t) else t.numel() for t in tensors)
        self.summary = (
            f"the network is split over {count} processes: {mine} of {sum(t.numel() for t in tensors)} weights "
            "are in the first"
        )
        # Said of learners that return a part of a larger tensor; it matters to callers that write into it in place.
        warnings.filterwarnings(
            "ignore", message="FSDP2-wrapped module .* returned a view", category=UserWarning
        )

    def reshard(self) -> None:
        """Frees the weights that the last pass gathered; each process holds its shards again."""
        for module in self._modules:
            module.reshard()

    def set_gradient_sync(self, last: bool) -> None:
        """Says whether the next backward pass is the last of a step, after which gradients are reduced."""
        for module in self._modules:
            module.set_requires_gradient_sync(last)

    def gather_inference_backend(
        self, backend: Backend, weights: Mapping[str, Tensor], *, main: bool
    ) -> None:
        """Makes `inference_backend`, a whole copy with these weights, on the main process; all have to call it."""
        full = full_tensors(weights, keep=main)
        if not main:
            return
        with torch.random.fork_rng():
            self.inference_backend = type(backend)(
                backend.config, tokenizer=backend.text_tokenizer, speakers=backend.speakers
            )
        load_strict(self.inference_backend.network, full, backend=backend.spec.name)
        self.inference_backend.network.to(self._device).eval()


def split(
    backend: Backend,
    learner: Learner,
    training: TrainingConfig,
    *,
    new_tokens: Sequence[int],
    processes: Processes,
    device: torch.device,
    dummy_batch: Callable[[], Batch],
) -> Shards | None:
    """Splits what is to be split; None where `training.shard` is off or there is one process.

    Raises:
        AmttsError: see `Shards`; or some text rows have another learning rate than the rest.
    """
    if not training.shard or processes.count == 1:
        return None
    rates = training.optim.rates
    if new_tokens and (
        training.freeze.original_tokens or not rates.new_tokens == rates.heads == rates.old_tokens
    ):
        raise AmttsError(
            f"{SETTING} cannot freeze or slow down single text rows",
            remedy="Use equal training.optim.rates and no training.freeze.original_tokens",
        )
    shards = Shards(backend, learner, device=device, count=processes.count, dummy_batch=dummy_batch)
    if processes.main:
        logger.info(shards.summary)
    return shards


def _is_sharded(value: object) -> TypeIs[DTensor]:
    """Whether `value` is a tensor in parts; where nobody has loaded their module, which takes time, there is none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def full_tensors(value: Any, *, keep: bool) -> Any:
    """Nested dicts and lists with every split tensor put together, on the CPU. Every process has to call it.

    Args:
        value: what a checkpoint is made of.
        keep: False drops each tensor as soon as it is put together: another process writes it.
    """
    if _is_sharded(value):
        full = value.full_tensor()
        return full.detach().cpu() if keep else None
    if isinstance(value, Mapping):
        return {name: full_tensors(part, keep=keep) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [full_tensors(part, keep=keep) for part in value]
    return value


def local_shard(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, where `like` is a split one of the same shape; otherwise the tensor."""
    if not _is_sharded(like) or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    moved = tensor.to(like.to_local().device)
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)


def local_shards(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`local_shard` for every tensor of a state dict."""
    return {name: local_shard(tensor, like[name]) for name, tensor in tensors.items()}


def full_scalar(norm: Tensor) -> Tensor:
    """A plain scalar of one that may be split."""
    return norm.full_tensor() if _is_sharded(norm) else norm
