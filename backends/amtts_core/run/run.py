"""A training run from folders and settings: checks, datasets, callbacks, the loop, and what is left on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import Checkpoint, CheckpointInfo
from amtts_core.config.run_config import RunConfig
from amtts_core.config.sections import TrainingConfig
from amtts_core.config.yaml_files import commented_yaml
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError
from amtts_core.forgetting.monitor import open_monitor
from amtts_core.run.auto_batch import with_largest_batch
from amtts_core.run.data_index import NAME, DataChanges, DataIndex, index_lines, index_of, read_index
from amtts_core.run.datasets import RunData, encode_prompts, load_data
from amtts_core.run.description import describe, with_data
from amtts_core.run.early_checks import check_early
from amtts_core.run.feedback import FeedbackReport
from amtts_core.run.folder import (
    CONFIG,
    check_folder,
    latest_sound_checkpoint,
    move_earlier_run,
    prepare_folder,
    stored_config,
    write_failure,
)
from amtts_core.run.inputs import RunInputs, open_inputs
from amtts_core.run.lock import run_lock
from amtts_core.run.options import Progress, RunOptions
from amtts_core.run.resume_check import (
    check_contract,
    check_data,
    report_normalizer,
    report_settings,
    same_codec,
    with_new_settings,
)
from amtts_core.run.samples import SampleSpeaker
from amtts_core.run.schedule_notes import report_resume, report_warmup
from amtts_core.run.weights import check_training_type, choose_trained, fill_weights, resume_weights
from amtts_core.text.normalizer import Normalizer
from amtts_core.training.callbacks.base import Callback, TrainingOutcome
from amtts_core.training.callbacks.jsonl import JsonlLogger
from amtts_core.training.callbacks.overfitting import OverfittingNotice
from amtts_core.training.callbacks.report import ReportWriter
from amtts_core.training.callbacks.tensorboard import TensorBoardLogger
from amtts_core.training.callbacks.wandb import WandbLogger
from amtts_core.training.distributed.processes import check_launcher, is_main, main_first
from amtts_core.training.distributed.shards import check_shard_settings
from amtts_core.training.memory_errors import is_out_of_memory
from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)


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
    check_folder(options.run, resume=options.resume, from_scratch=options.from_scratch)
    with run_lock(options.run) if is_main() else nullcontext():
        try:
            return _train(config, backend_class, options, callbacks, on_progress)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise AmttsError(
                f"memory ran out: {first[:200]}",
                remedy=f"Use a smaller preset, or --set data.batch_seconds={config.data.batch_seconds / 2:g}; "
                "--auto-batch finds the largest batches that fit",
            ) from error


def _train(
    config: RunConfig,
    backend_class: type[Backend],
    options: RunOptions,
    callbacks: Sequence[Callback],
    on_progress: Progress | None,
) -> TrainingResult:
    """Trains; no other process writes into the run folder."""
    check_folder(options.run, resume=options.resume, from_scratch=options.from_scratch)
    previous = latest_sound_checkpoint(options.run) if options.resume else None
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    torch.manual_seed(config.training.seed)
    inputs = open_inputs(config, backend_class.spec, options, previous)
    backend = inputs.build_backend(backend_class)
    info = describe(backend, inputs)
    stored = None
    if previous is not None:
        stored = _check_resume(info, backend_class, inputs, options, previous)
    elif options.init is not None:
        report_normalizer(options.init, info)
    check_training_type(backend, inputs)
    fresh = fill_weights(backend, options, previous)
    check_early(backend, inputs, options)
    speech_check = _speech_check(config, inputs)
    loggers = _loggers(options.run, inputs.config)
    sets, index, info, same_data = _load_data(backend, info, inputs, options, previous, on_progress)
    if previous is None and not (options.init is not None and options.init.statistics):
        backend.initialize(sets.train)
    lora = choose_trained(backend, inputs, fresh=fresh)
    info = info.model_copy(update={"began_fresh": fresh, "lora": lora})
    if previous is not None:
        check_contract(previous.info, info, previous.folder, names=("lora",))
        resume_weights(backend, previous)
    with main_first():
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
        callbacks=_callbacks(inputs.normalizer, (monitor, speech_check), [*loggers, *callbacks]),
    )
    if previous is not None:
        _resume(trainer, previous, stored or config.training, same_data=same_data)
    else:
        report_warmup(config.training, trainer.steps.total)
    files = {CONFIG: commented_yaml(config, backend_class), NAME: index_lines(index)}
    outcome = _fit(trainer, inputs, options, files, sets)
    if monitor is not None and monitor.failure is not None:
        raise monitor.failure
    codes = backend.spec.speech_codes
    from_cache = codes is not None and codes.of(backend).speech_codec().cache is not None
    speaks = backend.spec.text is not None and backend.spec.speaks and not from_cache
    return TrainingResult(options.run, outcome, len(sets.excluded), inputs.feedback, speaks)


def _check_resume(
    info: CheckpointInfo,
    backend_class: type[Backend],
    inputs: RunInputs,
    options: RunOptions,
    previous: Checkpoint,
) -> TrainingConfig | None:
    """Refuses to resume another run, and logs the settings that change; returns those of the loop before."""
    check_contract(
        same_codec(with_new_settings(previous.info, backend_class), info, backend_class),
        info,
        previous.folder,
        mutable=backend_class.spec.mutable_settings,
        force=options.force,
    )
    if not (options.run / CONFIG).is_file():
        return None
    stored, _ = stored_config(options.run, {})
    report_settings(stored, inputs.config)
    return stored.training


def _load_data(
    backend: Backend,
    info: CheckpointInfo,
    inputs: RunInputs,
    options: RunOptions,
    previous: Checkpoint | None,
    on_progress: Progress | None,
) -> tuple[RunData, DataIndex, CheckpointInfo, bool]:
    """The utterances, their index, the description with their hash, and False where a resumed run has others."""
    with main_first():  # it makes the feature stores, the others open them
        sets = load_data(
            backend,
            inputs.data,
            inputs.config,
            jobs=options.jobs,
            select=options.select,
            on_progress=on_progress,
        )
    info = with_data(info, sets.train, inputs.tokenizer)
    stored = read_index(options.run) if previous is not None else {}
    index = index_of(sets.training_parts()[0].utterances, inputs.data / "train.jsonl", stored)
    same_data = True
    if previous is not None:
        changes = DataChanges.between(stored, index) if stored else None
        same_data = check_data(previous, info, changes, force=options.force)
    return sets, index, info, same_data


def _resume(trainer: Trainer, previous: Checkpoint, stored: TrainingConfig, *, same_data: bool) -> None:
    state = previous.training_state()
    trainer.load_state_dict(state, same_data=same_data)
    report_resume(trainer, stored, state)


def _speech_check(config: RunConfig, inputs: RunInputs) -> Callback | None:
    """What speaks test texts at validations, opened before any data is read; None where no recognizer is named."""
    if not config.training.speech_check.recognizer:
        return None
    from amtts_core.evaluation.speech_check import open_speech_check

    return open_speech_check(config.training.speech_check, inputs.normalizer, inputs.data / "val.jsonl")


def _loggers(run: Path, config: RunConfig) -> list[Callback]:
    """What is written into the run folder; the report comes last, since it reads what the others wrote."""
    loggers: list[Callback] = [JsonlLogger(run / "metrics.jsonl"), OverfittingNotice(config.training.best_by)]
    if config.training.tensorboard:
        loggers.append(TensorBoardLogger(run / "tensorboard"))
    if config.training.wandb != "off":
        loggers.append(WandbLogger(run, config.training.wandb))
    return [*loggers, ReportWriter(run)]


def _callbacks(
    normalizer: Normalizer, measuring: Sequence[Callback | None], others: Sequence[Callback]
) -> list[Callback]:
    """Those that measure come first, since loggers log it, then the speaker, which calls the loggers at the end before
    they close their files."""
    return [
        *(callback for callback in measuring if callback),
        SampleSpeaker(normalizer, listeners=others),
        *others,
    ]


def _fit(
    trainer: Trainer, inputs: RunInputs, options: RunOptions, files: Mapping[str, str], sets: RunData
) -> TrainingOutcome:
    """Prepares the folder and trains.

    Raises:
        AmttsError: the folder cannot be written; every other error keeps its traceback.
    """
    fit: Callable[[], TrainingOutcome] = trainer.fit
    if inputs.feedback is not None:
        fit = partial(
            inputs.feedback.fit, trainer, original=options.data, config=inputs.config, jobs=options.jobs
        )
    try:
        with main_first():
            if is_main():
                if not options.resume:
                    move_earlier_run(options.run, keep=("feedback",) if inputs.feedback else ())
                prepare_folder(options.run, files, sets.excluded)
        return fit()
    except OSError as error:
        failure = write_failure(error, options.run)
        if failure is None:
            raise
        raise failure from error
