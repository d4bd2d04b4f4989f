"""A training run from folders and settings: checks, datasets, callbacks, the loop, and what is left on disk."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import Checkpoint, CheckpointInfo
from amtts_core.config.run_config import RunConfig
from amtts_core.config.yaml_files import commented_yaml
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError
from amtts_core.forgetting.monitor import ForgettingMonitor, open_monitor
from amtts_core.run.auto_batch import with_largest_batch
from amtts_core.run.datasets import RunData, encode_prompts, load_data
from amtts_core.run.description import describe, with_data
from amtts_core.run.feedback import FeedbackReport
from amtts_core.run.folder import open_run, prepare_folder, stored_config
from amtts_core.run.inputs import RunInputs, open_inputs
from amtts_core.run.options import Progress, RunOptions
from amtts_core.run.resume_check import (
    check_contract,
    report_normalizer,
    report_settings,
    with_new_settings,
)
from amtts_core.run.samples import SampleSpeaker
from amtts_core.run.weights import load_weights, resume_weights
from amtts_core.text.normalizer import Normalizer
from amtts_core.training.callbacks.base import Callback, TrainingOutcome
from amtts_core.training.callbacks.jsonl import JsonlLogger
from amtts_core.training.callbacks.report import ReportWriter
from amtts_core.training.callbacks.tensorboard import TensorBoardLogger
from amtts_core.training.callbacks.wandb import WandbLogger
from amtts_core.training.distributed.processes import check_launcher, is_main, main_first
from amtts_core.training.distributed.shards import check_shard_settings
from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended and where it is."""

    run: Path
    outcome: TrainingOutcome
    excluded: int
    feedback: FeedbackReport | None = None
    """Losses before and after training on corrected words, where there were some."""
    speaks: bool = True
    """The checkpoint can synthesize speech here; not so without text, nor with codes that nothing here decodes."""


def train(
    config: RunConfig,
    backend_class: type[Backend],
    options: RunOptions,
    *,
    callbacks: Sequence[Callback] = (),
    on_progress: Progress | None = None,
) -> TrainingResult:
    """Trains a backend on a prepared corpus.

    Args:
        config: resolved settings.
        backend_class: the class of `config.backend`.
        options: what it reads and writes, and whether it begins or continues.
        callbacks: besides the loggers and the sample speaker.
        on_progress: called with the progress of feature computation.

    Raises:
        AmttsError: anything the user can mend; nothing is half-written then.
    """
    check_launcher()
    check_shard_settings(config.training, auto_batch=options.auto_batch)
    previous = open_run(options.run, resume=options.resume, from_scratch=options.from_scratch)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    torch.manual_seed(config.training.seed)
    inputs = open_inputs(config, backend_class.spec, options, previous)
    backend = inputs.build_backend(backend_class)
    with main_first():  # it makes the feature stores, the others open them
        sets = load_data(
            backend,
            inputs.data,
            inputs.config,
            jobs=options.jobs,
            select=options.select,
            on_progress=on_progress,
        )
    info, same_data = _begin(backend, inputs, options, sets, previous)
    with main_first():  # now that it has its weights
        encode_prompts(backend, sets, on_progress=on_progress)
    config = inputs.config
    if options.auto_batch:
        config = with_largest_batch(config, backend, sets.train, run=options.run, info=info)
    with main_first():
        monitor = open_monitor(options.run, config, backend, new_tokens=info.new_tokens, jobs=options.jobs)
    trainer = Trainer(
        backend,
        train_data=sets.train,
        val_data=sets.val,
        data=config.data,
        training=config.training,
        run=options.run,
        info=info,
        callbacks=_callbacks(options.run, config, inputs.normalizer, monitor, callbacks),
    )
    if previous is not None:
        _resume(trainer, previous, same_data=same_data)
    with main_first():
        if is_main():
            text = commented_yaml(config, backend_class)
            prepare_folder(options.run, text, sets.excluded, from_scratch=options.from_scratch)
    outcome = _fit(trainer, inputs, options)
    if monitor is not None and monitor.failure is not None:
        raise monitor.failure
    codes = backend.spec.speech_codes
    from_cache = codes is not None and codes.of(backend).speech_codec().cache is not None
    speaks = backend.spec.text is not None and not from_cache
    return TrainingResult(options.run, outcome, len(sets.excluded), inputs.feedback, speaks)


def _begin(
    backend: Backend, inputs: RunInputs, options: RunOptions, sets: RunData, previous: Checkpoint | None
) -> tuple[CheckpointInfo, bool]:
    """Puts weights into the network; returns the run's description, and False where a resumed run has other data."""
    info = with_data(describe(backend, inputs), sets.train, inputs.tokenizer)
    overridden: list[str] = []
    if previous is not None:
        overridden = _check_resume(info, type(backend), inputs, options, previous)
    elif options.init is not None:
        report_normalizer(options.init, info)
    weights = load_weights(backend, inputs, options, previous, sets.train)
    info = info.model_copy(update={"began_fresh": weights.fresh, "lora": weights.lora})
    if previous is not None:
        check_contract(previous.info, info, previous.folder, names=("lora",))
        resume_weights(backend, previous)
    return info, "dataset_hash" not in overridden


def _check_resume(
    info: CheckpointInfo,
    backend_class: type[Backend],
    inputs: RunInputs,
    options: RunOptions,
    previous: Checkpoint,
) -> list[str]:
    """Refuses to resume another run; returns the fields that `--force` overrode."""
    overridden = check_contract(
        with_new_settings(previous.info, backend_class),
        info,
        previous.folder,
        mutable=backend_class.spec.mutable_settings,
        force=options.force,
    )
    if (options.run / "config.yaml").is_file():
        report_settings(stored_config(options.run, {})[0], inputs.config)
    return overridden


def _resume(trainer: Trainer, previous: Checkpoint, *, same_data: bool) -> None:
    trainer.load_state_dict(previous.training_state(), same_data=same_data)
    if trainer.steps.finished:
        logger.warning(
            "run already finished (step %d of %d); raise --max-steps or --max-epochs to continue",
            trainer.steps.step,
            trainer.steps.total,
        )


def _callbacks(
    run: Path,
    config: RunConfig,
    normalizer: Normalizer,
    monitor: ForgettingMonitor | None,
    others: Sequence[Callback],
) -> list[Callback]:
    """The monitor comes first, since loggers log what it measures; at the end the report reads what others wrote."""
    loggers: list[Callback] = [JsonlLogger(run / "metrics.jsonl")]
    if config.training.tensorboard:
        loggers.append(TensorBoardLogger(run / "tensorboard"))
    if config.training.wandb != "off":
        loggers.append(WandbLogger(run, config.training.wandb))
    loggers += [ReportWriter(run), *others]
    # The speaker comes before the loggers: it hands them its last samples before they close their files.
    return [*([monitor] if monitor else []), SampleSpeaker(normalizer, listeners=loggers), *loggers]


def _fit(trainer: Trainer, inputs: RunInputs, options: RunOptions) -> TrainingOutcome:
    """Trains. A full disk is an error for the user; every other error keeps its traceback."""
    fit: Callable[[], TrainingOutcome] = trainer.fit
    if inputs.feedback is not None:
        fit = partial(
            inputs.feedback.fit, trainer, original=options.data, config=inputs.config, jobs=options.jobs
        )
    try:
        return fit()
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise AmttsError(
            f"run folder {options.run} cannot be written: {error.strerror}",
            remedy="Free space, then continue with --resume",
        ) from error
