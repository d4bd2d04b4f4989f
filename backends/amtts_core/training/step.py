"""One optimizer step of every phase: forward, backward, clip, step, in as many parts as memory allows.

The random numbers of a batch (dropout, noise, the training segment) follow from the run's seed, the step and the
batch's utterances, not from earlier draws: they are the same on whichever process the batch is.
Knows nothing of epochs, logs or checkpoints.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from amtts_core.contract.backend import BackendSpec
from amtts_core.contract.learner import Learner
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.errors import AmttsError
from amtts_core.nn.step_rules import StepRule
from amtts_core.training.distributed.processes import Processes
from amtts_core.training.distributed.shards import Shards, full_scalar
from amtts_core.training.loss_guard import BadBatchError
from amtts_core.training.memory_errors import is_out_of_memory
from amtts_core.training.statistics import statistics_of

logger = logging.getLogger(__name__)
FINITE, NOT_FINITE, OUT_OF_MEMORY = 0, 1, 2
"""How a phase ended; the worst of all processes counts."""


class OutOfMemoryError(Exception):
    """Memory ran out on some process."""


@dataclass
class StepResult:
    """Losses of a step: `total` over all phases, and every term by its logged name."""

    total: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """Phases whose optimizer has stepped."""

    def add_phase(self, phase: str, other: StepResult) -> None:
        """Adds the losses of a phase whose optimizer has stepped."""
        self.done.append(phase)
        self.total += other.total
        self.metrics |= other.metrics

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
        rules: phase -> rules of its steps.
        shards: the network is split over the processes.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        learner: Learner,
        spec: BackendSpec[Any],
        optimizers: dict[str, torch.optim.Optimizer],
        *,
        clip_norm: float,
        rebatch: Callable[[Sequence[str]], Batch],
        rules: Mapping[str, Sequence[StepRule]] | None = None,
        shards: Shards | None = None,
    ) -> None:
        self._accelerator = accelerator
        self._learner = learner
        self._spec = spec
        self._optimizers = optimizers
        self._clip_norm = clip_norm or math.inf
        self._rebatch = rebatch
        self._rules = rules or {}
        self._shards = shards
        self._processes = Processes(accelerator)
        self.may_split = True
        """False raises `OutOfMemoryError` instead of splitting batches."""
        self.parts = 1
        """Parts that each batch is split into since memory ran out; the effective batch stays the same."""

    def run(self, group: Sequence[Batch], *, rate: float, batches: int = 0, rng_key: str = "") -> StepResult:
        """One step on a group of batches that count alike.

        Args:
            group: this process's batches of one optimizer step; may be empty on all but one process.
            rate: learning rate.
            batches: how many all processes have together; 0 where this is the only process.
            rng_key: key from which the step's RNG seeds are derived, e.g. "seed/step".

        Raises:
            BadBatchError: a loss or gradient is not finite; nothing of that phase or a later one was changed.
            AmttsError: not even one utterance fits into memory.
        """
        share = self._processes.count / (batches or len(group))
        result = StepResult()
        while True:
            parts = [part for batch in group for part in self._parts(batch, share)]
            try:
                with statistics_of(self._learner, self._spec, self._processes):
                    self._step(parts, result, rate=rate, rng_key=rng_key)
                return result
            except BadBatchError:
                self._clear()
                raise
            except OutOfMemoryError:
                if not self.may_split:
                    self._clear()
                    raise
                self._clear()
            smallest = int(any(len(part["ids"]) > 1 for part, _ in parts))
            if not self._processes.highest(smallest):
                raise AmttsError(
                    "not even one utterance fits into memory",
                    remedy="Use a smaller preset, or leave long utterances out: amtts prepare --max-seconds SECONDS",
                )
            self.parts *= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            logger.warning(
                "out of memory: batches are split into %d parts from now on; the effective batch stays the same",
                self.parts,
            )

    def state_dict(self) -> dict[str, Any]:
        """The parts that batches are split into."""
        return {"parts": self.parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`."""
        self.parts = state["parts"]

    def _clear(self) -> None:
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def _parts(self, batch: Batch, share: float) -> list[tuple[Batch, float]]:
        """The batch in `parts` parts of about as many utterances, each collated again, and the weight of each."""
        ids = batch["ids"]
        if self.parts == 1 or len(ids) == 1:
            return [(batch, share)]
        size = math.ceil(len(ids) / self.parts)
        cut = [ids[start : start + size] for start in range(0, len(ids), size)]
        return [(self._rebatch(names), share * len(names) / len(ids)) for names in cut]

    def _step(
        self, parts: list[tuple[Batch, float]], result: StepResult, *, rate: float, rng_key: str
    ) -> None:
        """Every phase that `result` does not hold yet: one whose optimizer has stepped does not step again."""
        for module in self._learner.modules.values():
            module.train()
        if self._shards is not None:
            self._step_sharded(self._shards, parts, result, rate=rate, rng_key=rng_key)
            return
        streams = [(self.losses(part, rng_key=rng_key), share) for part, share in parts]
        for phase in self._learner.phases:
            parameters = self._learner.parameters(phase)
            if phase in result.done:
                self._agree(*self._recompute(streams), phase=phase)
                continue
            measured = StepResult()
            self._agree(*self._accumulate(phase, streams, parameters, measured), phase=phase)
            self._processes.average(parameters)
            measured.add(f"train/grad_norm/{phase}", self._optimize(phase, parameters, rate))
            result.add_phase(phase, measured)
        if any(next(stream, None) is not None for stream, _ in streams):
            raise AssertionError(f"learner yielded more losses than its phases {self._learner.phases}")

    def _step_sharded(
        self,
        shards: Shards,
        parts: list[tuple[Batch, float]],
        result: StepResult,
        *,
        rate: float,
        rng_key: str,
    ) -> None:
        """The step of a network that is sharded over the processes: all have to make the same number of passes."""
        (phase,) = self._learner.phases
        shards.reshard()
        parameters = self._learner.parameters(phase)
        measured, reason = StepResult(), ""
        passes = self._processes.highest(len(parts))
        for number in range(passes):
            shards.set_gradient_sync(number == passes - 1)
            counts = number < len(parts)
            part, share = parts[number] if counts else (shards.dummy_batch(), 0.0)
            for module in self._learner.modules.values():
                module.train(counts)  # a dummy batch must not update statistics
            try:
                loss = next(self.losses(part, rng_key=rng_key))
                if counts and not bool(torch.isfinite(loss.total)):
                    reason = _not_finite(loss)
                self._accelerator.backward(loss.total * share)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise AmttsError(
                    "memory ran out, and batches cannot be split while training.shard splits the network",
                    remedy="Lower data.batch_seconds, raise training.accumulate, then continue with --resume",
                ) from error
            if counts and not reason:
                self._record(loss, share, measured)
        self._agree(NOT_FINITE if reason else FINITE, reason, phase=phase)
        measured.add(f"train/grad_norm/{phase}", self._optimize(phase, parameters, rate))
        result.add_phase(phase, measured)

    def _recompute(self, streams: list[tuple[Iterator[PhaseLoss], float]]) -> tuple[int, str]:
        """Computes the losses of a phase that is done once more, without a backward pass, to get to the next phase."""
        try:
            for stream, _ in streams:
                next(stream)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return OUT_OF_MEMORY, ""
        return FINITE, ""

    def _accumulate(
        self,
        phase: str,
        streams: list[tuple[Iterator[PhaseLoss], float]],
        parameters: list[nn.Parameter],
        result: StepResult,
    ) -> tuple[int, str]:
        """Backward passes of one phase over all parts; how it went and, if badly, why."""
        for stream, share in streams:
            try:
                loss = next(stream, None)
                if loss is None or loss.phase != phase:
                    raise AssertionError(f"learner yielded phase {loss and loss.phase!r}, expected '{phase}'")
                if not bool(torch.isfinite(loss.total)):
                    return NOT_FINITE, _not_finite(loss)
                # inputs=: a generator's loss also flows through the discriminator; it must leave no gradient there.
                self._accelerator.backward(loss.total * share, inputs=parameters)
            except (RuntimeError, MemoryError) as error:  # dropped: it keeps references to what did not fit
                if not is_out_of_memory(error):
                    raise
                return OUT_OF_MEMORY, ""
            self._record(loss, share, result)
        return FINITE, ""

    def _agree(self, code: int, reason: str, *, phase: str) -> None:
        """All processes continue, or all skip the step, or all split their batches."""
        worst = self._processes.highest(code)
        if worst == OUT_OF_MEMORY:
            raise OutOfMemoryError
        if worst == NOT_FINITE:
            why = reason or f"the loss of phase '{phase}' is not finite on another process"
            raise BadBatchError(why, elsewhere=not reason)

    def losses(self, batch: Batch, *, rng_key: str) -> Iterator[PhaseLoss]:
        """The learner's losses, each computed in the run's precision and with its own random numbers."""
        stream = self._learner.losses(self.to_device(batch))
        for number in itertools.count():
            _set_seed(_seed(rng_key, number, batch["ids"]), self._accelerator.device)
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

    def prefix(self, phase: str, stage: str) -> str:
        """Where a phase's terms are logged: "train/" where the only phase is "main", else "train/<phase>/"."""
        return f"{stage}/" if tuple(self._learner.phases) == ("main",) else f"{stage}/{phase}/"

    def _record(self, loss: PhaseLoss, share: float, result: StepResult) -> None:
        prefix, total = self.prefix(loss.phase, "train"), float(loss.total.detach()) * share
        result.total += total
        result.add(f"{prefix}total", total)
        for name, value in loss.terms.items():
            result.add(f"{prefix}{name}", float(value) * share)

    def _optimize(self, phase: str, parameters: list[nn.Parameter], rate: float) -> float:
        """Clips and steps; returns the gradient norm before clipping."""
        optimizer, rules = self._optimizers[phase], self._rules.get(phase, ())
        for rule in rules:
            rule.before_step()
        norm = self._accelerator.clip_grad_norm_(parameters, self._clip_norm)
        if norm is not None and self._shards is not None:
            norm = full_scalar(norm)
        # With a gradient scaler infinite gradients are normal: it skips the step and lowers its scale.
        if norm is not None and not torch.isfinite(norm) and self._accelerator.scaler is None:
            raise BadBatchError(f"the gradient norm of phase '{phase}' is {float(norm)}")
        for settings in optimizer.param_groups:
            settings["lr"] = rate * settings.get("rate", 1.0)
        optimizer.step()
        for rule in rules:
            rule.after_step(optimizer)
        optimizer.zero_grad(set_to_none=True)
        return float(norm) if norm is not None else 0.0


def _set_seed(seed: int, device: torch.device) -> None:
    """`torch.manual_seed` without its detour over absent devices, which takes 2 ms."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _not_finite(loss: PhaseLoss) -> str:
    terms = ", ".join(f"{name} {float(value):.4g}" for name, value in loss.terms.items())
    return f"the loss of phase '{loss.phase}' is {loss.total.item()} ({terms})"


def _seed(rng_key: str, number: int, ids: Sequence[str]) -> int:
    """A seed in 0 .. 2^63 - 1 for one loss of one batch."""
    digest = hashlib.blake2b("\n".join([rng_key, str(number), *ids]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
