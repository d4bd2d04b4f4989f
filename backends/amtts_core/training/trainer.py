"""The loop: batches, losses, optimiser steps, validation, checkpoints. One for all backends; knows no model.

It keeps the order of events and nothing else: what to log, show or speak is the callbacks' business, what a loss is
the learner's, which utterances form a batch the sampler's. An exception in a step ends the run with its traceback.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from amtts_core.backend import Backend, Batch
from amtts_core.checkpoint import CheckpointInfo
from amtts_core.config import DataConfig, TrainingConfig
from amtts_core.data.dataset import SpeechDataset, prefetch
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError
from amtts_core.training.callbacks import Callback, EpochReport, Outcome, StepReport
from amtts_core.training.control import ControlFile
from amtts_core.training.ema import WeightAverage
from amtts_core.training.guard import BadBatchError, LossGuard
from amtts_core.training.keeper import CheckpointKeeper
from amtts_core.training.optim import build_optimizer, rate_factor
from amtts_core.training.sample_ledger import SampleLedger
from amtts_core.training.step import StepRunner
from amtts_core.training.stop import StopFlag

logger = logging.getLogger(__name__)


@dataclass
class _Clock:
    """Where the loop's time went, in seconds."""

    started: float = 0.0
    waiting: float = 0.0
    audio: float = 0.0
    utterances: int = 0
    tokens: int = 0


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
        self._saved_at: tuple[int, int, int] | None = None
        self._rows = {utterance.id: row for row, utterance in enumerate(train_data.utterances)}
        self.guard = LossGuard(run, limit=training.max_bad_batches)
        self.average = WeightAverage(backend.network, training.ema_decay) if training.ema_decay else None
        self._ledger = SampleLedger(run, rank=self._rank)
        self._steps = StepRunner(
            self.accelerator,
            self.learner,
            self.optimizers,
            clip_norm=training.optim.clip_norm,
            rebatch=lambda ids: train_data.batch([self._rows[i] for i in ids]),
        )
        self._seen = 0

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
        self.run.mkdir(parents=True, exist_ok=True)
        self._keeper = CheckpointKeeper(self.run, keep=self.config.keep)
        self._control = ControlFile(self.run)
        if self.step == 0 and self.batch == 0 and self.epoch == 0:
            self._ledger.cut(0)  # of an earlier run in this folder
        first = self.step
        self._call("started", self)
        metrics: dict[str, float] = {}
        reason = "finished"
        with StopFlag() as stop:
            for group in self._batches():
                made = self._train_step(group)
                if self.batch == 0:
                    self._end_epoch()
                if made:
                    due = self.step % self.config.validate_every == 0 or self.step >= self.total_steps
                    if due:
                        metrics = self.validate()
                        self._judge(metrics)
                    if self.step % self.config.save_every == 0 or (due and self.best_step == self.step):
                        self.save(metrics)
                asked = stop.reason or self._asked(metrics)
                if self._steps.agreed(bool(asked)):
                    reason = asked or "stopped"
                    break
                if self._patience_is_over():
                    reason = "early stop"
                    break
                if self.step >= self.total_steps:
                    break
            if self._saved_at != (self.step, self.epoch, self.batch):
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
            utterances_per_second=self._clock.utterances / max(seconds, 1e-9),
            tokens_per_second=self._clock.tokens / max(seconds, 1e-9),
            skipped_batches=self.guard.skipped,
            metrics=metrics,
            best_metric=self.best,
            best_step=self.best_step,
        )
        self._call("finished", outcome)
        return outcome

    def _asked(self, metrics: dict[str, float]) -> str:
        """What the control file asks for; a pause is served here, after a checkpoint."""
        word = self._control.word()
        if word == "pause":
            self.save(metrics)
            logger.info("paused at step %d; remove %s to go on", self.step, self.run / "control")
            word = self._control.wait()
        if word == "stop":
            self._control.clear()
            return "control file"
        return ""

    def _patience_is_over(self) -> bool:
        patience = self.config.patience
        return bool(patience) and self.stale >= patience and self.epoch >= self.config.min_epochs

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

    def _train_step(self, group: list[Batch]) -> bool:
        """One step of every optimiser; False where the batch was bad and is skipped."""
        ids = [i for batch in group for i in batch["ids"]]
        epoch = self.epoch if self.batch else self.epoch - 1  # the position already stands behind the group
        self._seen += len(ids)
        rate = self.config.optim.learning_rate * rate_factor(self.step, self.total_steps, self.config.optim)
        try:
            result = self._steps.run(group, rate=rate)
        except BadBatchError as bad:
            self._ledger.add(self.step + 1, epoch, ids, skipped=True)
            self.guard.skip(str(bad), step=self.step + 1, epoch=epoch, ids=ids)
            return False
        self.step += 1
        if self.average is not None:
            self.average.update()
        self._ledger.add(self.step, epoch, ids)
        self.guard.good(self.step, result.total)
        for name, value in result.metrics.items():
            self._sums[name] += value
        self._count += 1
        self._clock.audio += sum(self._seconds[i] for i in ids)
        self._clock.utterances += len(ids)
        self._clock.tokens += sum(len(self.train_data.tokens[self._rows[i]]) for i in ids)
        self._report(rate)
        return True

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

    def _end_epoch(self) -> None:
        """Tells what the epoch that just ended has seen."""
        report = EpochReport(
            epoch=self.epoch - 1,
            seen=self._seen,
            expected=sum(len(batch) for batch in self.sampler.epoch(self.epoch - 1, rank=self._rank)),
            skipped_batches=self.guard.skipped,
            unreadable=len(self.train_data.excluded),
        )
        self._seen = 0
        self._call("epoch_ended", report)

    # ---- validation and checkpoints ----

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the validation set, weighted by utterances; empty where there is none."""
        if self.val_data is None or self._val_sampler is None:
            return {}
        with self.average.applied() if self.average is not None else nullcontext():
            return self._validate(self.val_data, self._val_sampler)

    def _validate(self, data: SpeechDataset, sampler: BucketSampler) -> dict[str, float]:
        for module in self.learner.modules.values():
            module.eval()
        sums: dict[str, float] = defaultdict(float)
        pictures: dict[str, Tensor] = {}
        batches = sampler.in_order()
        for indices in batches:
            batch = self._steps.to_device(data.batch(indices))
            for loss in self._steps.losses(batch):
                prefix = self._steps.prefix(loss.phase, "val")
                for name, value in {"total": loss.total, **loss.terms}.items():
                    sums[prefix + name] += float(value) * len(indices)
            if indices is batches[len(batches) // 2]:
                pictures = self.learner.pictures(batch)
        metrics = {name: value / len(data) for name, value in sums.items()}
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

    def save(self, metrics: dict[str, float]) -> None:
        """Writes a checkpoint of this step, moves the pointers and removes old ones."""
        self._saved_at = (self.step, self.epoch, self.batch)
        self._ledger.flush()
        if not self.accelerator.is_main_process:
            return
        info = self.info.model_copy(update={"step": self.step, "epoch": self.epoch, "metrics": metrics})
        own = self.backend.network.state_dict()
        folder = self._keeper.save(
            info,
            own if self.average is None else self.average.average,
            tokenizer=self.backend.text_tokenizer,
            state=self.state(),
            best_step=self.best_step,
            is_best=self.best_step == self.step or (self.best_step is None and self.val_data is None),
        )
        self._call("saved", self.step, folder)

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
            "seen": self._seen,
            "samples_bytes": self._ledger.size(),
            "bad_in_a_row": self.guard.in_a_row,
            "skipped": self.guard.skipped,
            "split": self._steps.split,
            # With an average the checkpoint's model is the average: what is trained is kept here.
            "weights": self.backend.network.state_dict() if self.average is not None else None,
            "average_updates": self.average.updates if self.average is not None else 0,
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
        self._saved_at = (self.step, self.epoch, self.batch)
        self._seen, self._steps.split = state.get("seen", 0), state.get("split", 1)
        self.guard.in_a_row, self.guard.skipped = state.get("bad_in_a_row", 0), state.get("skipped", 0)
        if self._rank == 0:
            self._ledger.cut(state.get("samples_bytes", 0))
        if self.average is not None and state.get("weights") is not None:
            self.average.restore(self.backend.network.state_dict(), state["average_updates"])
            self.backend.network.load_state_dict(state["weights"])
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
