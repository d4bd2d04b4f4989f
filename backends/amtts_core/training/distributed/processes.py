"""What the processes of a run exchange: gradients, decisions, sums. Nothing is sent where there is one process.

Gradients are averaged here, after the last backward pass of a phase, and not by DistributedDataParallel: its hooks
assume one forward and one backward pass a step, whereas a GAN runs several with accumulation, and differentiates for
one network's parameters only. Accumulation therefore costs one all-reduce a phase, however many batches it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor, nn

from amtts_core.errors import AmttsError

BUCKET = 32 * 2**20
"""Bytes of gradient sent at once."""


class Processes:
    """The processes of a run, as one of them sees it.

    Args:
        accelerator: knows how many there are.
    """

    def __init__(self, accelerator: Any) -> None:
        self.count: int = accelerator.num_processes
        self.rank: int = accelerator.process_index
        self.main: bool = accelerator.is_main_process
        self._device: torch.device = accelerator.device
        self._versions: dict[str, int] = {}

    def highest(self, code: int) -> int:
        """The highest code of all processes."""
        return int(self._maximum([code])[0])

    def _maximum(self, codes: Sequence[int]) -> Tensor:
        mine = torch.tensor(codes, dtype=torch.int64, device=self._device)
        self.maximum(mine)
        return mine

    def sum(self, tensor: Tensor) -> None:
        """Puts the sum over all processes into the tensor."""
        if self.count > 1:
            torch.distributed.all_reduce(tensor)

    def maximum(self, tensor: Tensor) -> None:
        """Puts the elementwise maximum over all processes into the tensor."""
        if self.count > 1:
            torch.distributed.all_reduce(tensor, op=torch.distributed.ReduceOp.MAX)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in the order of their numbers."""
        return gather_object([value]) if self.count > 1 else [value]

    def from_main(self, value: Any) -> Any:
        """The main process's value, on every process."""
        return self.gather(value)[0]

    def total(self, values: Mapping[str, float]) -> dict[str, float]:
        """Sums by name over all processes."""
        out: dict[str, float] = {}
        for part in self.gather(dict(values)):
            for name, value in part.items():
                out[name] = out.get(name, 0.0) + value
        return out

    def broadcast_weights(self, network: nn.Module) -> None:
        """Every process gets the main one's weights and buffers."""
        if self.count > 1:
            with torch.no_grad():
                for tensor in network.state_dict().values():
                    torch.distributed.broadcast(tensor, src=0)
            self._versions = {name: buffer._version for name, buffer in network.named_buffers()}

    @torch.no_grad()
    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Averages gradients. A parameter that has one on some processes only counts as zero on the others."""
        if self.count == 1:
            return
        met = self._maximum([int(p.grad is not None) for p in parameters]).tolist()
        gradients: list[Tensor] = []
        for parameter, present in zip(parameters, met, strict=True):
            if present and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        self._mean(gradients)

    @torch.no_grad()
    def average_buffers(self, network: nn.Module) -> None:
        """Averages buffers that a step has written to (a codebook's running means), so that processes stay equal.

        What a learner that `KeepsStatistics` moves is the same everywhere already, and stays as it is.
        """
        if self.count == 1:
            return
        buffers = {n: b for n, b in network.named_buffers() if b.is_floating_point()}
        moved = self._maximum(
            [int(self._versions.get(n, 0) != b._version) for n, b in buffers.items()]
        ).tolist()
        self._mean([buffer for buffer, changed in zip(buffers.values(), moved, strict=True) if changed])
        self._versions = {name: buffer._version for name, buffer in buffers.items()}

    def _mean(self, tensors: Sequence[Tensor]) -> None:
        sent = []
        for bucket in _buckets(tensors):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            sent.append((bucket, flat, torch.distributed.all_reduce(flat, async_op=True)))
        for bucket, flat, work in sent:
            work.wait()
            parts = (flat / self.count).split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one kind, together at most about `BUCKET` bytes."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        bytes_ = gradient.numel() * gradient.element_size()
        if bucket and (size + bytes_ > BUCKET or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += bytes_
    if bucket:
        yield bucket


def is_main() -> bool:
    """True on the process that writes; read from the environment torchrun sets, before anything is started."""
    return int(os.environ.get("RANK", "0")) == 0


def on_cpus() -> bool:
    """True where torchrun started several processes without a GPU: without this accelerate runs each alone."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()


ENGINES = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism_config",
}
"""Environment variable that `accelerate launch` sets -> the way of splitting a network that it asks for."""


def check_launcher() -> None:
    """Refuses an `accelerate launch` configuration that asks for another way of splitting the network.

    Raises:
        AmttsError: names the engine.
    """
    for variable, engine in ENGINES.items():
        if os.environ.get(variable, "").lower() in ("true", "1", "yes", "on"):
            raise AmttsError(
                f"accelerate is configured to use {engine}; amtts splits a network by its own setting",
                remedy="Use distributed_type MULTI_GPU and --set training.shard=true",
            )


def end_processes() -> None:
    """Ends the connections between the processes; the last thing that a program with a training does.

    Connections that are still open when the interpreter ends are closed in any order, while their threads run: about
    one training in fifteen under torchrun then ended by SIGABRT although its work was done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process passes through first, so that files are made once and read by the others."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
    else:
        with PartialState(cpu=on_cpus()).main_process_first():
            yield
