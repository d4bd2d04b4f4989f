"""The training loop: batches, losses, optimizer steps, validation, checkpoints. One for all backends; knows no model.

It keeps the order of events. What to log, show or speak is the callbacks' business, what a loss is the learner's, which
utterances form a batch the sampler's. An exception in a step ends the run with its traceback.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.config.sections import DataConfig, TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import Batch
from amtts_core.data.dataset import SpeechDataset
from amtts_core.errors import CheckpointError
from amtts_core.memory import keep_freed_memory
from amtts_core.training.batch_loader import BatchLoader, sampler_of
from amtts_core.training.callbacks.base import Callback, EpochReport, StepReport, TrainingOutcome
from amtts_core.training.checkpoint_manager import CheckpointManager
from amtts_core.training.control_file import CHECK_EVERY
from amtts_core.training.distributed.processes import Processes
from amtts_core.training.distributed.shards import full_tensors
from amtts_core.training.early_stopping import EarlyStopping
from amtts_core.training.inference_weights import InferenceWeights
from amtts_core.training.loss_guard import BadBatchError, LossGuard
from amtts_core.training.metric_aggregator import MetricAggregator
from amtts_core.training.optim import Schedule
from amtts_core.training.random_state import RandomState
from amtts_core.training.run_state import RunState
from amtts_core.training.setup import check_data, make_accelerator, prepare_network
from amtts_core.training.step import StepRunner
from amtts_core.training.step_counter import StepCounter
from amtts_core.training.stop_requests import StopRequests
from amtts_core.training.throughput import SpeedMeter, UtteranceSizes
from amtts_core.training.utterance_ledger import UtteranceLedger
from amtts_core.training.validation import Validator

if TYPE_CHECKING:
    from torch.distributed.checkpoint.stateful import Stateful

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
        self.backend, self.config, self.info, self.run = backend, training, info, run
        self.train_data, self._has_validation = train_data, val_data is not None
        self.accelerator = make_accelerator(training)
        self.processes = processes = Processes(self.accelerator)
        check_data(train_data, val_data, training, processes)
        self.loader = BatchLoader(
            train_data,
            sampler_of(train_data, data, training),
            accumulate=training.accumulate,
            rank=processes.rank,
            world=processes.count,
        )
        self.steps = StepCounter(training, self.loader)
        self.early_stopping = EarlyStopping(training)
        self.schedule = Schedule(training.optim, min_delta=training.min_delta)
        network = prepare_network(
            backend,
            training,
            accelerator=self.accelerator,
            processes=processes,
            loader=self.loader,
            new_tokens=info.new_tokens,
            step=lambda: self.steps.step,
        )
        self.learner, self.shards, self._rules = network.learner, network.shards, network.rules
        self.optimizers = network.optimizers
        self.weights = InferenceWeights(
            backend,
            ema_decay=training.ema_decay,
            shards=self.shards,
            main=processes.main,
        )
        self.ledger = UtteranceLedger(run, writes=processes.main)
        self.guard = LossGuard(run, limit=training.max_bad_batches, writes=processes.main)
        self.runner = StepRunner(
            self.accelerator,
            self.learner,
            backend.spec,
            self.optimizers.by_phase,
            clip_norm=training.optim.clip_norm,
            rebatch=self.loader.rebatch,
            rules=self._rules,
            shards=self.shards,
        )
        self.validator = self.validator_of(val_data, data) if val_data else None
        self.metrics = self._metric_aggregator()
        self._check_best_by(callbacks)
        self._stop = StopRequests(run, processes, unsaved=self._unsaved)
        self.state = self._run_state(val_data)
        self.callbacks = list(callbacks) if processes.main else []
        self._checkpoints = CheckpointManager(run, keep=training.keep)
        self._saved_at: tuple[int, int, int] | None = None
        self._parts: dict[str, Stateful] = {
            "steps": self.steps,
            "early_stopping": self.early_stopping,
            "schedule": self.schedule,
            "ledger": self.ledger,
            "guard": self.guard,
            "runner": self.runner,
            "optimizers": self.optimizers,
            "weights": self.weights,
            "random": RandomState(),
        }

    def validator_of(self, data: SpeechDataset, settings: DataConfig) -> Validator:
        """A validator of this run's losses over some utterances."""
        return Validator(
            data,
            sampler_of(data, settings, self.config),
            learner=self.learner,
            steps=self.runner,
            processes=self.processes,
            shards=self.shards,
        )

    def _metric_aggregator(self) -> MetricAggregator:
        device, precision = self.accelerator.device, self.config.precision
        speed = SpeedMeter(self.backend, self.processes, device=device, precision=precision)
        return MetricAggregator(UtteranceSizes(self.train_data), speed, self.processes)

    def _check_best_by(self, callbacks: Sequence[Callback]) -> None:
        if self.validator is None:
            return
        added = {name for callback in callbacks for name in callback.metric_names}
        self.early_stopping.require_measured(self.validator.names() | added)

    def _run_state(self, val_data: SpeechDataset | None) -> RunState:
        return RunState(
            folder=self.run,
            backend=self.backend,
            config=self.config,
            info=self.info,
            train_data=self.train_data,
            val_data=val_data,
            device=self.accelerator.device,
            losses=lambda batch, key: self.runner.losses(batch, rng_key=key),
            request_stop=self._stop.request,
            _steps=self.steps,
            _loader=self.loader,
            _weights=self.weights,
        )

    # ---- the loop ----

    def fit(self) -> TrainingOutcome:
        """Runs until the last step, an early stop or a signal; always leaves a checkpoint of the last step."""
        keep_freed_memory()
        self.metrics.start()
        self.loader.waiting = 0.0
        self._open_folder()
        first = self.steps.step
        self._call("started", self.state)
        metrics: dict[str, float] = {}
        reason = "finished"
        with self._stop:
            for group in self.loader.groups() if not self.steps.finished else ():
                stepped = self._train_step(group)
                if self.loader.batch == 0:
                    self._end_epoch()
                if stepped:
                    metrics = self._validate_and_save(metrics)
                if self.steps.finished:
                    break
                if self._stop_requested(metrics):
                    reason = self._stop.reason
                    break
                if self.early_stopping.should_stop(self.loader.epoch):
                    reason = "early stop"
                    break
            if not self._is_saved():
                self.save(metrics)
        outcome = self._outcome(reason, first=first, metrics=metrics)
        if self.config.sample_every:
            self.weights.gather()
        self._call("finished", outcome)
        return outcome

    def _open_folder(self) -> None:
        """Sets the pointers to the resumed checkpoint, or removes the ledgers of an earlier run."""
        if not self.processes.main:
            return
        self.run.mkdir(parents=True, exist_ok=True)
        self._checkpoints.clean()
        if self.steps.step:
            self._checkpoints.repair(self.steps.step, self.early_stopping.best_step)
        if self._position() == (0, 0, 0):
            self.ledger.clear()
            self.guard.clear()

    def _validate_and_save(self, metrics: dict[str, float]) -> dict[str, float]:
        """After a step: validates and saves where that is due; returns the metrics of the last validation."""
        step, config = self.steps.step, self.config
        validate = step % config.validate_every == 0 or self.steps.finished
        if validate:
            metrics = self.validate()
            self.early_stopping.update(metrics, step)
            if metrics:
                self.schedule.update(self.early_stopping.cost(metrics[config.best_by]))
        if step % config.save_every == 0 or (validate and self.early_stopping.best_step == step):
            self.save(metrics)
        return metrics

    def _stop_requested(self, metrics: dict[str, float]) -> bool:
        """True on every process when one was asked to stop. A pause is waited for here, after a checkpoint."""
        began = 0.0
        while (request := self._stop.poll()) == "pause":
            if not began:
                began = time.monotonic()
                if not self._is_saved():
                    self.save(metrics)
                logger.info("paused at step %d; remove %s to continue", self.steps.step, self.run / "control")
            time.sleep(CHECK_EVERY)
        if began:
            self._call("paused", self.steps.step, time.monotonic() - began)
        return request == "stop"

    def _train_step(self, group: list[Batch]) -> bool:
        """One step of every optimizer; False where the batch was bad and is skipped."""
        epoch, ids = self.loader.last_epoch, self.loader.last_ids()
        began, step = time.monotonic(), self.steps.step
        rate = self.schedule.rate(step, total=self.steps.total)
        batches = len(self.loader.last_group)
        try:
            result = self.runner.run(group, rate=rate, batches=batches, rng_key=f"{self.config.seed}/{step}")
        except BadBatchError as bad:
            reasons = sorted(
                self.processes.gather((bad.elsewhere, str(bad)))
            )  # the process that saw it comes first
            self.ledger.add(step + 1, epoch, ids, skipped=True)
            self.guard.skip(reasons[0][1], step=step + 1, epoch=epoch, ids=ids)
            return False
        self.steps.step = step = step + 1
        self.processes.average_buffers(self.backend.network)
        self.weights.update(self._rules)
        self.ledger.add(step, epoch, ids)
        if group:
            self.guard.check_step(step, result.total)
        self.metrics.add(result.metrics, group, seconds=time.monotonic() - began, waited=self.loader.waiting)
        due = step % self.config.log_every == 0 or self.steps.finished
        means, speed = self.metrics.means(reduce=due)
        if self.config.sample_every and step % self.config.sample_every == 0:
            self.weights.gather()
        report = StepReport(
            step=step,
            epoch=self.loader.epoch,
            total_steps=self.steps.total,
            metrics=means | {"train/learning_rate": rate},
            log_due=due,
            batches=batches,
            speed=speed,
        )
        self._call("stepped", report)
        return True

    def _end_epoch(self) -> None:
        """Reports the utterances of the epoch that just ended."""
        report = EpochReport(
            epoch=self.loader.epoch - 1,
            seen=self.loader.take_epoch_count(),
            expected=self.loader.sampler.size(self.loader.epoch - 1),
            skipped_batches=self.guard.skipped,
            unreadable=len(self.train_data.excluded),
        )
        self._call("epoch_ended", report)

    def _outcome(self, reason: str, *, first: int, metrics: dict[str, float]) -> TrainingOutcome:
        totals = self.metrics.totals()
        return TrainingOutcome(
            reason=reason,
            step=self.steps.step,
            epoch=self.loader.epoch,
            seconds=totals.seconds,
            steps_per_second=(self.steps.step - first) / totals.seconds,
            data_wait_share=self.loader.waiting / totals.seconds,
            padding_share=self.loader.padding_share(),
            audio_seconds_per_second=totals.audio / totals.seconds,
            utterances_per_second=totals.utterances / totals.seconds,
            tokens_per_second=totals.tokens / totals.seconds,
            skipped_batches=self.guard.skipped,
            speed=totals.speed,
            metrics=metrics,
            best_metric=self.early_stopping.best,
            best_step=self.early_stopping.best_step,
        )

    # ---- validation and checkpoints ----

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the validation set, weighted by utterances; empty where there is none."""
        if self.validator is None:
            return {}
        with self.weights.for_losses():
            metrics, figures = self.validator.measure()
            with torch.random.fork_rng():  # callbacks synthesize, which must not change what training draws
                self._call("validated", self.steps.step, metrics, figures)
        added: dict[str, float] = self.processes.from_main(metrics)
        return added

    def save(self, metrics: dict[str, float]) -> None:
        """Writes a checkpoint of this step, moves the pointers and removes old ones. Only the main process writes."""
        self._saved_at = self._position()
        if not self.processes.main and self.shards is None:
            return
        self.ledger.flush()
        state, tensors = full_tensors((self.state_dict(), self.weights.tensors()), keep=self.processes.main)
        if not self.processes.main:
            return
        step, best = self.steps.step, self.early_stopping.best_step
        files = self.backend.spec.checkpoint_files
        folder = self._checkpoints.save(
            self.info.model_copy(update={"step": step, "epoch": self.loader.epoch, "metrics": metrics}),
            tensors,
            tokenizer=self.backend.text_tokenizer,
            state=state,
            best_step=best,
            is_best=best == step or (best is None and not self._has_validation),
            files=files.of(self.backend).write_files if files is not None else None,
        )
        self._call("saved", step, folder)

    def state_dict(self) -> dict[str, Any]:
        """Everything besides the weights that decides how the run continues; the same on all processes."""
        return {"loader": self.loader.state_dict()} | {
            name: part.state_dict() for name, part in self._parts.items()
        }

    def load_state_dict(self, state: dict[str, Any], *, same_data: bool = True) -> None:
        """Continues from `state_dict`; the network holds the checkpoint's weights already.

        Args:
            state: as `state_dict` returned it.
            same_data: False where the utterances are others; then the epoch begins again.

        Raises:
            CheckpointError: it was written by an earlier amtts, or does not fit the settings.
        """
        if not {"loader", *self._parts} <= state.keys():
            raise CheckpointError(
                "the training state of this checkpoint was written by an earlier amtts and cannot be continued",
                remedy="Begin again with --from-scratch, or in another --out",
            )
        self.loader.load_state_dict(state["loader"], same_data=same_data)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self._saved_at = self._position()

    def _position(self) -> tuple[int, int, int]:
        return self.steps.step, self.loader.epoch, self.loader.batch

    def _is_saved(self) -> bool:
        return self._saved_at == self._position()

    def _unsaved(self) -> str:
        step, saved = self.steps.step, self._saved_at[0] if self._saved_at else 0
        return f"steps {saved + 1} to {step}" if step > saved else "no step"

    def _call(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(*arguments)
