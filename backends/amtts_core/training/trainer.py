"""The loop: batches, losses, optimiser steps, validation, checkpoints. One for all backends; knows no model.

It keeps the order of events and nothing else: what to log, show or speak is the callbacks' business, what a loss is
the learner's, which utterances form a batch the sampler's. An exception in a step ends the run with its traceback.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from amtts_core.backend import Backend, Batch, PhaseLoss
from amtts_core.checkpoint import (
    CheckpointInfo,
    checkpoints_of,
    write_checkpoint,
    write_pointer,
)
from amtts_core.config import DataConfig, TrainingConfig
from amtts_core.data.dataset import SpeechDataset, prefetch
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError
from amtts_core.training.callbacks import Callback, Outcome, StepReport
from amtts_core.training.optim import build_optimizer, rate_factor
from amtts_core.training.stop import StopFlag

logger = logging.getLogger(__name__)


@dataclass
class _Clock:
    """Where the loop's time went, in seconds."""

    started: float = 0.0
    waiting: float = 0.0
    audio: float = 0.0


class Trainer:
    """Trains one backend.

    Args:
        backend: its network is trained in place.
        train_data, val_data: datasets; `val_data` may be None, then the last checkpoint counts as the best.
        data, training: settings.
        run: folder of the run.
        info: what every checkpoint says about itself; step, epoch and metrics are filled in here.
        callbacks: called in order, on the main process only.

    Raises:
        AmttsError: a precision this machine lacks, no end of the run, or fewer utterances than processes.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        train_data: SpeechDataset,
        val_data: SpeechDataset | None,
        data: DataConfig,
        training: TrainingConfig,
        run: Path,
        info: CheckpointInfo,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        mixed = {"fp32": "no"}.get(training.precision, training.precision)
        try:
            self.accelerator = Accelerator(mixed_precision=mixed)
        except ValueError as error:
            raise AmttsError(
                f"training.precision {training.precision} cannot be used here: {error}",
                remedy="Use --set training.precision=fp32",
            ) from None
        self.backend = backend
        self.config = training
        self.run = run
        self.info = info
        self.callbacks = list(callbacks) if self.accelerator.is_main_process else []
        self.train_data, self.val_data = train_data, val_data
        world, self._rank = self.accelerator.num_processes, self.accelerator.process_index
        if len(train_data) < world:
            raise AmttsError(f"{len(train_data)} training utterances are too few for {world} processes")
        self.sampler = _sampler(train_data, data, training.seed, world)
        self._val_sampler = _sampler(val_data, data, training.seed, 1) if val_data else None
        self.step, self.epoch, self.batch = 0, 0, 0
        self.best: float | None = None
        self.best_step: int | None = None
        self.stale = 0
        self.total_steps = self._total_steps()
        backend.network.to(self.accelerator.device)
        self.learner = backend.learner()
        self.optimizers = {
            phase: self.accelerator.prepare(build_optimizer(self.learner.parameters(phase), training.optim))
            for phase in self.learner.phases
        }
        for name, module in self.learner.modules.items():
            self.learner.modules[name] = self.accelerator.prepare(module)
        self._seconds = {utterance.id: utterance.duration for utterance in train_data.utterances}
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0
        self._clock = _Clock()
        self._saved_step = -1

    def _total_steps(self) -> int:
        limit = self.config.max_steps
        if not limit and not self.config.max_epochs:
            raise AmttsError(
                "training.max_steps and training.max_epochs are both 0", remedy="Set one of them"
            )
        steps = 0
        for epoch in range(
            self.config.max_epochs
        ):  # epochs differ by a batch or so, so none stands for another
            steps += math.ceil(len(self.sampler.epoch(epoch, rank=self._rank)) / self.config.accumulate)
            if limit and steps >= limit:
                break
        return min(limit or steps, steps or limit)

    # ---- the loop ----

    def fit(self) -> Outcome:
        """Runs until the last step, an early stop or a signal; always leaves a checkpoint of the last step."""
        self._clock = _Clock(started=time.monotonic())
        first = self.step
        self._call("started", self)
        metrics: dict[str, float] = {}
        reason = "finished"
        with StopFlag() as stop:
            for group in self._batches():
                self._train_step(group)
                due = self.step % self.config.validate_every == 0 or self.step >= self.total_steps
                if due:
                    metrics = self.validate()
                    self._judge(metrics)
                if self.step % self.config.save_every == 0 or (due and self.best_step == self.step):
                    self.save(metrics)
                if self._agreed(bool(stop.reason)):
                    reason = stop.reason or "stopped"
                    break
                if self.config.patience and self.stale >= self.config.patience:
                    reason = "early stop"
                    break
                if self.step >= self.total_steps:
                    break
            if self._saved_step != self.step:
                self.save(metrics)
        seconds = time.monotonic() - self._clock.started
        outcome = Outcome(
            reason=reason,
            step=self.step,
            epoch=self.epoch,
            seconds=seconds,
            steps_per_second=(self.step - first) / max(seconds, 1e-9),
            data_wait_share=self._clock.waiting / max(seconds, 1e-9),
            padding_share=self.sampler.padding_share(self.sampler.epoch(self.epoch)),
            audio_seconds_per_second=self._clock.audio / max(seconds, 1e-9),
            metrics=metrics,
            best_metric=self.best,
            best_step=self.best_step,
        )
        self._call("finished", outcome)
        return outcome

    def _batches(self) -> Iterator[list[Batch]]:
        """Groups of `accumulate` batches from `(epoch, batch)` on; moves that position as groups are handed out."""
        while self.step < self.total_steps:
            left = self.sampler.epoch(self.epoch, rank=self._rank)[self.batch :]
            group: list[Batch] = []
            stream = prefetch(self.train_data.batch, left)
            for position in range(len(left)):
                waited = time.monotonic()
                group.append(next(stream))
                self._clock.waiting += time.monotonic() - waited
                last = position == len(left) - 1
                if len(group) == self.config.accumulate or last:
                    self.batch += len(group)
                    if last:
                        self.epoch, self.batch = self.epoch + 1, 0
                    yield group
                    group = []

    def _train_step(self, group: list[Batch]) -> None:
        rate = self.config.optim.learning_rate * rate_factor(self.step, self.total_steps, self.config.optim)
        for module in self.learner.modules.values():
            module.train()
        batches = [self._to_device(batch) for batch in group]
        streams = [self._losses(batch) for batch in batches]
        for phase in self.learner.phases:
            parameters = self.learner.parameters(phase)
            optimizer = self.optimizers[phase]
            for position, stream in enumerate(streams):
                loss = next(stream, None)
                if loss is None or loss.phase != phase:
                    raise AssertionError(f"learner yielded phase {loss and loss.phase!r}, expected '{phase}'")
                self._refuse_non_finite(loss, group)
                self._backward(loss.total / len(streams), parameters, last=position == len(streams) - 1)
                self._record(loss, 1.0 / len(streams))
            norm = self.accelerator.clip_grad_norm_(parameters, self.config.optim.clip_norm or math.inf)
            if norm is not None and not torch.isfinite(norm) and self.accelerator.scaler is None:
                self._bad_batch(f"the gradient norm of phase '{phase}' is {float(norm)}", group)
            for settings in optimizer.param_groups:
                settings["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            self._sums[f"train/grad_norm/{phase}"] += float(norm) if norm is not None else 0.0
        if any(next(stream, None) is not None for stream in streams):
            raise AssertionError(f"learner yielded more losses than its phases {self.learner.phases}")
        self.step += 1
        self._count += 1
        self._clock.audio += sum(self._seconds[i] for batch in group for i in batch["ids"])
        self._report(rate)

    def _losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        stream = self.learner.losses(batch)
        while True:
            with self.accelerator.autocast():
                try:
                    loss = next(stream)
                except StopIteration:
                    return
            yield loss

    def _backward(self, loss: Tensor, parameters: list[nn.Parameter], *, last: bool) -> None:
        # inputs=: a generator's loss also flows through the discriminator, and must leave no gradient there.
        if last or self.accelerator.num_processes == 1:
            self.accelerator.backward(loss, inputs=parameters)
        else:
            with self.accelerator.no_sync(*self.learner.modules.values()):
                self.accelerator.backward(loss, inputs=parameters)

    def _record(self, loss: PhaseLoss, share: float) -> None:
        prefix = "train/" if len(self.learner.phases) == 1 else f"train/{loss.phase}/"
        self._sums[f"{prefix}total"] += float(loss.total.detach()) * share
        for name, value in loss.terms.items():
            self._sums[f"{prefix}{name}"] += float(value) * share

    def _report(self, rate: float) -> None:
        due = self.step % self.config.log_every == 0 or self.step == self.total_steps
        metrics = {name: value / self._count for name, value in self._sums.items()}
        metrics["train/learning_rate"] = rate
        report = StepReport(
            step=self.step, epoch=self.epoch, total_steps=self.total_steps, metrics=metrics, log_due=due
        )
        self._call("stepped", report)
        if due:
            self._sums, self._count = defaultdict(float), 0

    # ---- losses that cannot lie ----

    def _refuse_non_finite(self, loss: PhaseLoss, group: list[Batch]) -> None:
        if not torch.isfinite(loss.total):
            terms = ", ".join(f"{name} {float(value):.4g}" for name, value in loss.terms.items())
            self._bad_batch(f"the loss of phase '{loss.phase}' is {loss.total.item()} ({terms})", group)

    def _bad_batch(self, what: str, group: list[Batch]) -> None:
        ids = [i for batch in group for i in batch["ids"]]
        ledger = self.run / "bad_batches.jsonl"
        with ledger.open("a", encoding="utf-8") as handle:
            row = {"step": self.step + 1, "epoch": self.epoch, "reason": what, "ids": ids}
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        raise AmttsError(
            f"step {self.step + 1}: {what}; the batch's utterances are in {ledger}",
            remedy="Check them, or lower training.optim.learning_rate, then continue with --resume",
        )

    # ---- validation and checkpoints ----

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the validation set, weighted by utterances; empty where there is none."""
        if self.val_data is None or self._val_sampler is None:
            return {}
        for module in self.learner.modules.values():
            module.eval()
        sums: dict[str, float] = defaultdict(float)
        pictures: dict[str, Tensor] = {}
        batches = self._val_sampler.in_order()
        for indices in batches:
            batch = self._to_device(self.val_data.batch(indices))
            for loss in self._losses(batch):
                prefix = "val/" if len(self.learner.phases) == 1 else f"val/{loss.phase}/"
                for name, value in {"total": loss.total, **loss.terms}.items():
                    sums[prefix + name] += float(value) * len(indices)
            if indices is batches[len(batches) // 2]:
                pictures = self.learner.pictures(batch)
        metrics = {name: value / len(self.val_data) for name, value in sums.items()}
        with (
            torch.random.fork_rng()
        ):  # callbacks speak and draw; they must not change what training draws next
            self._call("validated", self.step, metrics, pictures)
        return metrics

    def _judge(self, metrics: dict[str, float]) -> None:
        if not metrics:
            return
        if self.config.best_by not in metrics:
            raise AmttsError(
                f"training.best_by is '{self.config.best_by}', which is not measured; "
                f"measured: {', '.join(sorted(metrics))}"
            )
        value = metrics[self.config.best_by]
        if not math.isfinite(value):
            logger.warning(
                "step %d: %s is %s, which counts as no progress", self.step, self.config.best_by, value
            )
            self.stale += 1
        elif self.best is None or value < self.best - self.config.min_delta:
            self.best, self.best_step, self.stale = value, self.step, 0
        else:
            self.stale += 1

    def save(self, metrics: dict[str, float]) -> Path:
        """Writes a checkpoint of this step, moves the pointers and removes old ones."""
        folder = self.run / "checkpoints" / f"step-{self.step:08d}"
        self._saved_step = self.step
        if not self.accelerator.is_main_process:
            return folder
        info = self.info.model_copy(update={"step": self.step, "epoch": self.epoch, "metrics": metrics})
        write_checkpoint(
            folder,
            info,
            self.backend.network.state_dict(),
            tokenizer=self.backend.text_tokenizer,
            training_state=self.state(),
        )
        write_pointer(self.run, "latest", folder)
        if self.best_step == self.step or (self.best_step is None and self.val_data is None):
            write_pointer(self.run, "best", folder)
        self._rotate()
        self._call("saved", self.step, folder)
        return folder

    def _rotate(self) -> None:
        best = f"step-{self.best_step:08d}" if self.best_step is not None else ""
        now = f"step-{self.step:08d}"
        # Later ones were damaged when this run was resumed; counting them would remove the one just written.
        folders = [folder for folder in checkpoints_of(self.run) if folder.name <= now]
        for folder in folders[: -self.config.keep]:
            if folder.name != best:
                shutil.rmtree(folder)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that decides how the run goes on."""
        scaler = self.accelerator.scaler
        return {
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "best": self.best,
            "best_step": self.best_step,
            "stale": self.stale,
            "order": self._order(),
            "optimizers": {phase: optimizer.state_dict() for phase, optimizer in self.optimizers.items()},
            "scaler": scaler.state_dict() if scaler is not None else None,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continues where `state` was taken; the weights are loaded by the caller."""
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.best, self.best_step, self.stale = state["best"], state["best_step"], state["stale"]
        for phase, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][phase])
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self._saved_step = self.step
        own = self._order()
        stored = state.get("order", own)
        changed = [
            f"{name} was {stored[name]}, is now {own[name]}" for name in own if stored[name] != own[name]
        ]
        if changed and self.batch:
            logger.warning("%s: epoch %d begins anew, in another order", ", ".join(changed), self.epoch)
            self.batch = 0

    def _order(self) -> dict[str, int]:
        """What decides which batch is the n-th of an epoch, so that a position means something."""
        return {
            "training.seed": self.sampler.seed,
            "data.batch_frames": self.sampler.batch_frames,
            "data.max_utterances": self.sampler.max_utterances,
            "processes": self.sampler.world,
        }

    # ---- small things ----

    def _to_device(self, batch: Batch) -> Batch:
        device = self.accelerator.device
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}

    def _agreed(self, stop: bool) -> bool:
        """True on every process as soon as one of them was asked to stop."""
        if self.accelerator.num_processes == 1:
            return stop
        flag = torch.tensor([float(stop)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, reduction="sum").item() > 0)

    def _call(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(*arguments)


def _sampler(dataset: SpeechDataset, data: DataConfig, seed: int, world: int) -> BucketSampler:
    return BucketSampler(
        dataset.frames(),
        batch_frames=data.batch_frames,
        max_utterances=data.max_utterances,
        seed=seed,
        world=world,
    )
