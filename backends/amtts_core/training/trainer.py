"""The loop: batches, losses, optimiser steps, validation, checkpoints. One for all backends; knows no model.

It keeps the order of events and nothing else: what to log, show or speak is the callbacks' business, what a loss is
the learner's, which utterances form a batch the sampler's. An exception in a step ends the run with its traceback.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.config.sections import DataConfig, TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.check import checked_learner
from amtts_core.contract.types import Batch
from amtts_core.data.dataset import SpeechDataset
from amtts_core.data.mixed_dataset import MixedDataset
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError
from amtts_core.finetune.trainable import frozen_names, parameter_kinds, put_back, step_rules
from amtts_core.memory import keep_freed_memory
from amtts_core.nn.bf16_check import require_sound
from amtts_core.nn.ema import WeightAverage
from amtts_core.training.blocks import prepare_blocks
from amtts_core.training.callbacks.base import Callback, EpochReport, Outcome
from amtts_core.training.clock import Clock
from amtts_core.training.control import CHECK_EVERY, ControlFile
from amtts_core.training.distributed.processes import Processes, on_cpus
from amtts_core.training.distributed.shards import split, whole
from amtts_core.training.feed import Feed, total_steps
from amtts_core.training.guard import BadBatchError, LossGuard
from amtts_core.training.keeper import CheckpointKeeper
from amtts_core.training.optim import Schedule, build_optimizer
from amtts_core.training.sample_ledger import SampleLedger
from amtts_core.training.state import capture, restore
from amtts_core.training.step import StepRunner
from amtts_core.training.stop import StopFlag
from amtts_core.training.validation import Judge, Validator
from amtts_core.training.voice import Voice

logger = logging.getLogger(__name__)


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
            self.accelerator = Accelerator(mixed_precision=mixed, cpu=on_cpus())
        except ValueError as error:
            raise AmttsError(
                f"training.precision {training.precision} cannot be used here: {error}",
                remedy="Use --set training.precision=fp32",
            ) from None
        self.backend = backend
        self.config = training
        self.run = run
        self.info = info
        self.processes = Processes(self.accelerator)
        self.callbacks = list(callbacks) if self.processes.main else []
        self.train_data, self.val_data = train_data, val_data
        world = self.processes.count
        if len(train_data) < world:
            raise AmttsError(f"{len(train_data)} training utterances are too few for {world} processes")
        self.sampler = _sampler(train_data, data, training.seed)
        self.step = 0
        self.origin = (0, 0, 0)
        """Step, epoch and batch from which on a step has as many batches as now."""
        self.feed = Feed(
            train_data,
            self.sampler,
            accumulate=training.accumulate,
            rank=self.processes.rank,
            world=world,
        )
        self.judge = Judge(training)
        self.count_steps(from_here=False)
        if training.optim.schedule == "plateau" and not val_data:
            raise AmttsError(
                "training.optim.schedule plateau waits for validations, and there is no validation utterance",
                remedy="Use another schedule, such as cosine",
            )
        backend.network.to(self.accelerator.device)
        self.processes.same_start(backend.network)
        prepare_blocks(backend, training)
        self.learner = checked_learner(backend)
        if training.precision == "bf16" and self.accelerator.device.type == "cpu":
            require_sound(
                self.learner.modules,
                torch.bfloat16,
                asked="training.precision bf16",
                remedy="Use --set training.precision=fp32",
            )
        shortest = int(self.sampler.lengths.argmin())
        self.shards = split(
            backend,
            self.learner,
            training,
            new_tokens=info.new_tokens,
            processes=self.processes,
            device=self.accelerator.device,
            spare=lambda: train_data.batch([shortest]),
        )
        kinds = parameter_kinds(backend, training)
        self.optimizers = {
            phase: self.accelerator.prepare(
                build_optimizer(self.learner.parameters(phase), training.optim, kinds=kinds)
            )
            for phase in self.learner.phases
        }
        self._rules = step_rules(backend, self.learner, training, info.new_tokens, step=lambda: self.step)
        for name, module in self.learner.modules.items():
            # evaluation_mode: precision without DistributedDataParallel, see `processes`
            self.learner.modules[name] = self.accelerator.prepare_model(module, evaluation_mode=True)
        self._saved_at: tuple[int, int, int] | None = None
        rows = {utterance.id: row for row, utterance in enumerate(train_data.utterances)}
        self._clock = Clock(train_data, self.sampler.lengths, rows)
        self.guard = LossGuard(run, limit=training.max_bad_batches, writes=self.processes.main)
        self.average: WeightAverage | None = None
        if training.ema_decay:
            still = frozen_names(backend.network)
            self.average = WeightAverage(backend.network, training.ema_decay, still=still)
        self._voice = Voice(
            backend,
            average=self.average,
            shards=self.shards,
            main=self.processes.main,
        )
        self.ledger = SampleLedger(run)
        self.steps = StepRunner(
            self.accelerator,
            self.learner,
            backend.spec,
            self.optimizers,
            clip_norm=training.optim.clip_norm,
            rebatch=lambda ids: train_data.batch([rows[i] for i in ids], epoch=self.feed.handed_epoch),
            rules=self._rules,
            shards=self.shards,
        )
        self._validator = (
            Validator(
                val_data,
                _sampler(val_data, data, training.seed),
                learner=self.learner,
                steps=self.steps,
                processes=self.processes,
                shards=self.shards,
            )
            if val_data
            else None
        )
        if self._validator is not None:
            self.judge.check(self._validator.names())
        self.seen = 0
        self._reason = ""
        self._wish = ""

    @property
    def epoch(self) -> int:
        """Epoch of the next batch."""
        return self.feed.epoch

    @property
    def batch(self) -> int:
        """Number of the next batch in its epoch."""
        return self.feed.batch

    def count_steps(self, *, from_here: bool) -> None:
        """Sets `total_steps` and the schedule over them.

        Args:
            from_here: the number of batches in a step has changed at this position.
        """
        if from_here:
            self.origin = (self.step, self.epoch, self.batch)
        self.total_steps = total_steps(
            self.config, self.sampler, per_step=self.feed.per_step, origin=self.origin
        )
        self.schedule = Schedule(self.config.optim, self.total_steps, min_delta=self.config.min_delta)

    # ---- the loop ----

    def fit(self) -> Outcome:
        """Runs until the last step, an early stop or a signal; always leaves a checkpoint of the last step."""
        keep_freed_memory()
        self._clock.start()
        self.feed.waiting = 0.0
        self.run.mkdir(parents=True, exist_ok=True)
        if self.processes.main:
            self._keeper = CheckpointKeeper(self.run, keep=self.config.keep)
            self._control = ControlFile(self.run)
            if self.step:
                self._keeper.repair(self.step, self.judge.best_step)
            if (self.step, self.epoch, self.batch) == (0, 0, 0):
                self.ledger.cut(0)  # of an earlier run in this folder
                self.guard.cut(0)
        first = self.step
        self._call("started", self)
        metrics: dict[str, float] = {}
        reason = "finished"
        with StopFlag() as stop:
            for group in self.feed.groups() if self.step < self.total_steps else ():
                made = self._train_step(group)
                if self.batch == 0:
                    self._end_epoch()
                if made:
                    due = self.step % self.config.validate_every == 0 or self.step >= self.total_steps
                    if due:
                        metrics = self.validate()
                        self.judge.hear(metrics, self.step)
                        if metrics:
                            self.schedule.hear(metrics[self.config.best_by])
                    if self.step % self.config.save_every == 0 or (due and self.judge.best_step == self.step):
                        self.save(metrics)
                if self._asked(stop, metrics):
                    reason = self._reason or "stopped on another process"
                    break
                if self.judge.gives_up(self.epoch):
                    reason = "early stop"
                    break
                if self.step >= self.total_steps:
                    break
            if not self._is_saved():
                self.save(metrics)
        outcome = self._clock.outcome(self, reason=reason, first=first, metrics=metrics)
        if self.config.sample_every:
            self._voice.gather()
        self._call("finished", outcome)
        return outcome

    def _asked(self, stop: StopFlag, metrics: dict[str, float]) -> bool:
        """True on every process when one got a signal or the control file says so; a pause is served here."""
        while True:
            word = (
                "stop" if stop.reason or self._wish else self._control.word() if self.processes.main else ""
            )
            code = self.processes.highest(("", "pause", "stop").index(word))
            if code == 0:
                return False
            if code == 2:
                self._reason = stop.reason or self._wish or ("control file" if word else "")
                if self.processes.main:
                    self._control.clear()
                return True
            if not self._is_saved():
                self.save(metrics)
                logger.info("paused at step %d; remove %s to go on", self.step, self.run / "control")
            time.sleep(CHECK_EVERY)

    def ask_stop(self, reason: str) -> None:
        """Ends the run after this step, with a checkpoint, on all processes; for callbacks."""
        self._wish = reason

    def _is_saved(self) -> bool:
        return self._saved_at == (self.step, self.epoch, self.batch)

    def _train_step(self, group: list[Batch]) -> bool:
        """One step of every optimiser; False where the batch was bad and is skipped."""
        ids = [self.train_data.utterances[row].id for rows in self.feed.handed for row in rows]
        epoch = self.feed.handed_epoch  # the position already stands behind the group
        self.seen += len(ids)
        began = time.monotonic()
        rate = self.schedule.rate(self.step)
        try:
            result = self.steps.run(
                group, rate=rate, batches=len(self.feed.handed), lot=f"{self.config.seed}/{self.step}"
            )
        except BadBatchError as bad:
            reasons = sorted(
                self.processes.gather((bad.elsewhere, str(bad)))
            )  # a process that knows comes first
            self.ledger.add(self.step + 1, epoch, ids, skipped=True)
            self.guard.skip(reasons[0][1], step=self.step + 1, epoch=epoch, ids=ids)
            return False
        self.step += 1
        self.processes.average_buffers(self.backend.network)
        if self.average is not None:
            self.average.update()
            put_back(self._rules, self.backend.network, self.average.average)
        self.ledger.add(self.step, epoch, ids)
        if group:
            self.guard.good(self.step, result.total)
        self._clock.add(result.metrics, group, seconds=time.monotonic() - began, waiting=self.feed.waiting)
        report = self._clock.report(self, rate=rate)
        if self.config.sample_every and self.step % self.config.sample_every == 0:
            self._voice.gather()
        self._call("stepped", report)
        return True

    # ---- losses that cannot lie ----

    def _end_epoch(self) -> None:
        """Tells what the epoch that just ended has seen."""
        report = EpochReport(
            epoch=self.epoch - 1,
            seen=self.seen,
            expected=self.sampler.size(self.epoch - 1),
            skipped_batches=self.guard.skipped,
            unreadable=len(self.train_data.excluded),
        )
        self.seen = 0
        self._call("epoch_ended", report)

    # ---- validation and checkpoints ----

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the validation set, weighted by utterances; empty where there is none."""
        if self._validator is None:
            return {}
        with self._voice.measured():
            metrics, figures = self._validator.measure()
            with (
                torch.random.fork_rng()
            ):  # callbacks speak and draw, which must not change what training draws
                self._call("validated", self.step, metrics, figures)
        return metrics

    def as_spoken(self) -> AbstractContextManager[Backend]:
        """What a checkpoint speaks with: the average, adapters merged into their layers; in evaluation mode."""
        return self._voice.spoken()

    def save(self, metrics: dict[str, float]) -> None:
        """Writes a checkpoint of this step, moves the pointers and removes old ones. Only the main process writes."""
        self._saved_at = (self.step, self.epoch, self.batch)
        if not self.processes.main and self.shards is None:
            return
        if self.processes.main:
            self.ledger.flush()
        state, spoken = whole((capture(self), self._voice.weights()), keep=self.processes.main)
        if not self.processes.main:
            return
        info = self.info.model_copy(update={"step": self.step, "epoch": self.epoch, "metrics": metrics})
        best, files = self.judge.best_step, self.backend.spec.checkpoint_files
        folder = self._keeper.save(
            info,
            spoken,
            tokenizer=self.backend.text_tokenizer,
            state=state,
            best_step=best,
            is_best=best == self.step or (best is None and self.val_data is None),
            files=files.of(self.backend).write_files if files is not None else None,
        )
        self._call("saved", self.step, folder)

    def load_state(self, state: dict[str, Any], *, same_data: bool = True) -> None:
        """Continues where `state` was taken; the caller has loaded the weights. Other data begin an epoch anew."""
        restore(self, state, same_data=same_data)
        self._saved_at = (self.step, self.epoch, self.batch)

    def _call(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(*arguments)


def _sampler(dataset: SpeechDataset, data: DataConfig, seed: int) -> BucketSampler:
    return BucketSampler(
        dataset.frames(),
        members=dataset.draw(seed) if isinstance(dataset, MixedDataset) else None,
        batch_frames=data.batch_frames,
        max_utterances=data.max_utterances,
        seed=seed,
    )
