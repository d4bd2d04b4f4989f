"""One optimiser step of every phase: forward, backward, clip, step, in as many parts as memory allows.

Knows nothing of epochs, logs or checkpoints.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from amtts_core.backend import Batch, Learner, PhaseLoss
from amtts_core.errors import AmttsError
from amtts_core.training.guard import BadBatchError

logger = logging.getLogger(__name__)


@dataclass
class StepResult:
    """What a step measured: `total` over all phases, and every term by its logged name."""

    total: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Adds to a metric."""
        self.metrics[name] = self.metrics.get(name, 0.0) + value


class StepRunner:
    """Makes the steps of one learner.

    Args:
        accelerator: precision, devices, processes.
        learner: its modules are already prepared.
        optimizers: one per phase.
        clip_norm: largest gradient norm; 0 does not clip.
        rebatch: makes a batch of the given utterance ids, for when memory runs out.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        learner: Learner,
        optimizers: dict[str, torch.optim.Optimizer],
        *,
        clip_norm: float,
        rebatch: Callable[[Sequence[str]], Batch],
    ) -> None:
        self._accelerator = accelerator
        self._learner = learner
        self._optimizers = optimizers
        self._clip_norm = clip_norm or math.inf
        self._rebatch = rebatch
        self.split = 1
        """Parts that each batch is cut into since memory ran out; the effective batch stays the same."""

    def run(self, group: Sequence[Batch], *, rate: float) -> StepResult:
        """One step on a group of batches that count alike.

        Args:
            group: the batches of one optimiser step.
            rate: learning rate.

        Raises:
            BadBatchError: a loss or gradient is not finite; nothing of that phase or a later one was changed.
            AmttsError: not even one utterance fits into memory.
        """
        while True:
            parts = [part for batch in group for part in self._parts(batch)]
            try:
                return self._step(parts, utterances=sum(len(batch["ids"]) for batch in group), rate=rate)
            except BadBatchError:
                self._clear()
                raise
            except torch.OutOfMemoryError:
                self._clear()
                if all(len(part["ids"]) == 1 for part in parts):
                    raise AmttsError(
                        "not even one utterance fits into memory",
                        remedy="Take a smaller preset, or leave long utterances out with `amtts prepare`",
                    ) from None
            self.split *= 2  # outside the handler: the exception holds on to the tensors that did not fit
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            logger.warning(
                "out of memory: batches are cut into %d parts from now on; the effective batch stays the same",
                self.split,
            )

    def _clear(self) -> None:
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def _parts(self, batch: Batch) -> list[Batch]:
        """The batch in `split` parts of about as many utterances, each collated anew."""
        ids = batch["ids"]
        if self.split == 1 or len(ids) == 1:
            return [batch]
        size = math.ceil(len(ids) / self.split)
        return [self._rebatch(ids[start : start + size]) for start in range(0, len(ids), size)]

    def _step(self, parts: list[Batch], *, utterances: int, rate: float) -> StepResult:
        for module in self._learner.modules.values():
            module.train()
        # Batches of a group count alike; the parts of a batch that was cut count by their utterances.
        shares = [1 / len(parts) if self.split == 1 else len(part["ids"]) / utterances for part in parts]
        streams = [self.losses(self.to_device(part)) for part in parts]
        result = StepResult()
        for phase in self._learner.phases:
            parameters = self._learner.parameters(phase)
            for position, (stream, share) in enumerate(zip(streams, shares, strict=True)):
                loss = next(stream, None)
                if loss is None or loss.phase != phase:
                    raise AssertionError(f"learner yielded phase {loss and loss.phase!r}, expected '{phase}'")
                self._refuse_non_finite(loss)
                self._backward(loss.total * share, parameters, last=position == len(streams) - 1)
                self._record(loss, share, result)
            result.add(f"train/grad_norm/{phase}", self._optimize(phase, parameters, rate))
        if any(next(stream, None) is not None for stream in streams):
            raise AssertionError(f"learner yielded more losses than its phases {self._learner.phases}")
        return result

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """The learner's losses, each computed in the run's precision."""
        stream = self._learner.losses(batch)
        while True:
            with self._accelerator.autocast():
                try:
                    loss = next(stream)
                except StopIteration:
                    return
            yield loss

    def to_device(self, batch: Batch) -> Batch:
        """The batch with its tensors on the run's device."""
        device = self._accelerator.device
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}

    def agreed(self, asked: bool) -> bool:
        """True on every process as soon as one of them asks."""
        if self._accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self._accelerator.device)
        return bool(self._accelerator.reduce(flag, reduction="sum").item() > 0)

    def prefix(self, phase: str, stage: str) -> str:
        """Where a phase's terms are logged: "train/" with one phase, "train/<phase>/" with several."""
        return f"{stage}/" if len(self._learner.phases) == 1 else f"{stage}/{phase}/"

    def _refuse_non_finite(self, loss: PhaseLoss) -> None:
        if self.agreed(not bool(torch.isfinite(loss.total))):
            terms = ", ".join(f"{name} {float(value):.4g}" for name, value in loss.terms.items())
            raise BadBatchError(f"the loss of phase '{loss.phase}' is {loss.total.item()} ({terms})")

    def _backward(self, loss: Tensor, parameters: list[nn.Parameter], *, last: bool) -> None:
        # inputs=: a generator's loss also flows through the discriminator, and must leave no gradient there.
        if last or self._accelerator.num_processes == 1:
            self._accelerator.backward(loss, inputs=parameters)
        else:
            with self._accelerator.no_sync(*self._learner.modules.values()):
                self._accelerator.backward(loss, inputs=parameters)

    def _record(self, loss: PhaseLoss, share: float, result: StepResult) -> None:
        prefix, total = self.prefix(loss.phase, "train"), float(loss.total.detach()) * share
        result.total += total
        result.add(f"{prefix}total", total)
        for name, value in loss.terms.items():
            result.add(f"{prefix}{name}", float(value) * share)

    def _optimize(self, phase: str, parameters: list[nn.Parameter], rate: float) -> float:
        """Clips and steps; returns the gradient norm before clipping."""
        optimizer = self._optimizers[phase]
        norm = self._accelerator.clip_grad_norm_(parameters, self._clip_norm)
        # With a gradient scaler infinite gradients are its daily business: it skips the step and scales down.
        if norm is not None and not torch.isfinite(norm) and self._accelerator.scaler is None:
            raise BadBatchError(f"the gradient norm of phase '{phase}' is {float(norm)}")
        for settings in optimizer.param_groups:
            settings["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(norm) if norm is not None else 0.0
