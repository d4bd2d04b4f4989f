"""A training run from folders and settings: checks, datasets, callbacks, the loop, and what is left on disk."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.config.run_config import RunConfig
from amtts_core.config.yaml_files import commented_yaml
from amtts_core.contract.backend import Backend
from amtts_core.contract.speakers import SpeakerTable
from amtts_core.corpus.corpus import corpus_normalizer
from amtts_core.data.mixed_dataset import speakers_of
from amtts_core.errors import AmttsError
from amtts_core.finetune.init_weights import Origin, Start
from amtts_core.finetune.speakers import speaker_table, speakers_of_checkpoint
from amtts_core.finetune.trainable import choose_parameters
from amtts_core.forgetting.watch import open_watch
from amtts_core.run.auto_batch import with_largest_batch
from amtts_core.run.datasets import Progress, Select, encode_prompts, load_data, training_manifest
from amtts_core.run.feedback import FeedbackReport, open_feedback, with_replay
from amtts_core.run.folder import open_run, prepare_folder, stored_config
from amtts_core.run.resume_check import (
    check_contract,
    describe,
    tell_normalizer,
    tell_settings,
    with_new_settings,
)
from amtts_core.run.samples import SampleSpeaker
from amtts_core.text.normalize import Normalizer
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.training.callbacks.base import Callback, Outcome
from amtts_core.training.callbacks.jsonl import JsonlLogger
from amtts_core.training.callbacks.report import ReportWriter
from amtts_core.training.callbacks.tensorboard import TensorBoardLogger
from amtts_core.training.callbacks.wandb import WandbLogger
from amtts_core.training.distributed.processes import is_main, main_first, refuse_split_networks
from amtts_core.training.distributed.shards import refuse_shards
from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended and where it is."""

    run: Path
    outcome: Outcome
    excluded: int
    feedback: FeedbackReport | None = None
    """What learning from corrected words did, where there were some."""
    speaks: bool = True
    """The checkpoint can be spoken with here; not so without text, nor with codes that nothing here decodes."""


def train(
    config: RunConfig,
    backend_class: type[Backend],
    *,
    data: Path,
    run: Path,
    tokenizer: Path | None = None,
    resume: bool = False,
    force: bool = False,
    from_scratch: bool = False,
    auto_batch: bool = False,
    start: Start | None = None,
    feedback: Path | None = None,
    jobs: int = 2,
    select: Select | None = None,
    callbacks: Sequence[Callback] = (),
    on_progress: Progress | None = None,
) -> TrainingResult:
    """Trains a backend on a prepared corpus.

    Args:
        config: resolved settings.
        backend_class: what `config.backend` names.
        data: folder with train.jsonl (and val.jsonl), made by `amtts prepare`.
        run: folder of the run.
        tokenizer: tokenizer folder; None takes that of `start`, or `data/tokenizer`.
        resume: continue the run in `run` from its latest sound checkpoint.
        force: resume although data or settings changed, where that is safe; it is said what was overridden.
        from_scratch: allow a new run in a folder that holds one (its checkpoints are moved aside, not deleted).
        auto_batch: looks for the largest `data.batch_frames` that fits into memory.
        start: weights to begin with, see `open_start`; None begins from scratch. A resumed run goes on by itself.
        feedback: folder with corrected words (x.wav and x.txt); what is learnt is these and utterances of `data`.
        jobs: threads for feature computation.
        select: takes some utterances of each set; None takes all.
        callbacks: besides the loggers and the sample speaker.
        on_progress: told how far feature computation is.

    Raises:
        AmttsError: anything the user can mend; nothing is half-written then.
    """
    refuse_split_networks()
    refuse_shards(config.training, auto_batch=auto_batch)
    manifest = training_manifest(data)
    overridden: list[str] = []
    previous = open_run(run, resume=resume, from_scratch=from_scratch)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    torch.manual_seed(config.training.seed)
    origin = Origin.of(start, previous)
    text = None
    if backend_class.spec.text:
        opened = start.tokenizer if start else None if tokenizer else origin.tokenizer
        text = opened or load_tokenizer(tokenizer or data / "tokenizer")
    speakers = speaker_table(
        speakers_of(manifest, config.data.replay),
        backend_class.spec,
        speakers_of_checkpoint(previous.info) if previous else start.speakers if start else SpeakerTable(),
    )
    report, original = None, data
    if feedback is not None:
        report = open_feedback(feedback, run, data=data, tokenizer=text, config=config, jobs=jobs)
        data, config = report.corpus.folder, with_replay(config, original)
    settings = config.model_config_of(backend_class.spec)
    if origin.own_weights:
        settings = settings.model_copy(update=dict(backend_class.spec.fine_tuning.init_weight_settings))
    backend = backend_class(settings, tokenizer=text, speakers=speakers)
    with main_first():  # it makes the feature stores, the others open them
        sets = load_data(backend, data, config, jobs=jobs, select=select, on_progress=on_progress)
    normalizer = corpus_normalizer(data)
    info = describe(backend, config, text, normalizer, sets.train, origin)
    if previous is not None:
        info.began_fresh = previous.info.began_fresh
        mutable = backend_class.spec.mutable_settings
        stored = with_new_settings(previous.info, backend_class)
        overridden = check_contract(stored, info, previous.folder, mutable=mutable, force=force)
        if (run / "config.yaml").is_file():
            tell_settings(stored_config(run, {})[0], config)
    elif start is not None:
        tell_normalizer(start, info)
        info.began_fresh = list(start.fill(backend))
        if codes := backend.spec.speech_codes:
            codes.of(
                backend
            ).speech_codec()  # refuses another codec than the one whose codes the weights know
    if previous is None and not (start and start.statistics):
        backend.initialize(sets.train)
    named = any(
        config.model.get(key) != none
        for key, none in backend_class.spec.fine_tuning.init_weight_settings.items()
    )
    info.lora = choose_parameters(
        backend,
        config.training,
        new_tokens=info.new_tokens,
        fresh=info.began_fresh,
        pretrained=named or bool(info.started_from),
    )
    if previous is not None:
        check_contract(previous.info, info, previous.folder, names=("lora",))
        load_strict(backend.network, previous.stored_weights(), backend=backend.spec.name)
    with main_first():  # now that it has its weights
        encode_prompts(backend, sets, on_progress=on_progress)
    if auto_batch:
        config = with_largest_batch(config, backend, sets.train, run=run, info=info)
    with main_first():
        watch = open_watch(run, config, backend, new_tokens=info.new_tokens, jobs=jobs)
    trainer = Trainer(
        backend,
        train_data=sets.train,
        val_data=sets.val,
        data=config.data,
        training=config.training,
        run=run,
        info=info,
        # The watch comes first: the loggers log what it measures.
        callbacks=[*([watch] if watch else []), *_loggers(run, config, normalizer), *callbacks],
    )
    if previous is not None:
        trainer.load_state(previous.training_state(), same_data="dataset_hash" not in overridden)
        if trainer.step >= trainer.total_steps:
            logger.warning(
                "nothing is left to learn: the run is at step %d of %d; give it more with --max-steps or --max-epochs",
                trainer.step,
                trainer.total_steps,
            )
    excluded = sets.excluded
    with main_first():
        if is_main():
            prepare_folder(run, commented_yaml(config, backend_class), excluded, from_scratch=from_scratch)
    fit: Callable[[], Outcome] = trainer.fit
    if report is not None:
        fit = partial(report.fit, trainer, original=original, config=config, jobs=jobs)
    outcome = _fitted(fit, run)
    if watch is not None and watch.lost is not None:
        raise watch.lost
    codes = backend.spec.speech_codes
    from_cache = codes is not None and codes.of(backend).speech_codec().cache is not None
    speaks = backend.spec.text is not None and not from_cache
    return TrainingResult(run, outcome, len(excluded), report, speaks)


def _loggers(run: Path, config: RunConfig, normalizer: Normalizer) -> list[Callback]:
    # The speaker comes first: at the end it tells the loggers of its last samples, which then close their files.
    loggers: list[Callback] = [SampleSpeaker(normalizer), JsonlLogger(run / "metrics.jsonl")]
    if config.training.tensorboard:
        loggers.append(TensorBoardLogger(run / "tensorboard"))
    if config.training.wandb != "off":
        loggers.append(WandbLogger(run, config.training.wandb))
    loggers.append(ReportWriter(run))  # last: it reads what the others wrote
    return loggers


def _fitted(fit: Callable[[], Outcome], run: Path) -> Outcome:
    """Trains. A disk that fills up is the user's to mend; every other error keeps its traceback."""
    try:
        return fit()
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise AmttsError(
            f"run folder {run} cannot be written: {error.strerror}",
            remedy="Free space, then continue with --resume",
        ) from error
