"""A training run from folders and settings: checks, datasets, callbacks, the loop, and what is left on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from amtts_core.backend import Backend
from amtts_core.checkpoint import load_strict
from amtts_core.config import RunConfig, commented_yaml
from amtts_core.data.corpus import corpus_normalizer, corpus_speakers
from amtts_core.data.dataset import SpeechDataset, load_dataset
from amtts_core.errors import AmttsError
from amtts_core.text.normalize import Normalizer
from amtts_core.text.tokenizer import load_tokenizer
from amtts_core.training.callbacks import Callback, Outcome
from amtts_core.training.contract import check_contract, describe
from amtts_core.training.folder import open_run, prepare_folder
from amtts_core.training.loggers.jsonl import JsonlLogger
from amtts_core.training.loggers.tensorboard import TensorBoardLogger
from amtts_core.training.processes import is_main, main_first
from amtts_core.training.samples import SampleSpeaker
from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
"""(what, done, total), e.g. ("features", 12, 380)."""


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended and where it is."""

    run: Path
    outcome: Outcome
    excluded: int


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
    jobs: int = 2,
    callbacks: Sequence[Callback] = (),
    on_progress: Progress | None = None,
) -> TrainingResult:
    """Trains a backend on a prepared corpus.

    Args:
        config: resolved settings.
        backend_class: what `config.backend` names.
        data: folder with train.jsonl (and val.jsonl), made by `amtts prepare`.
        run: folder of the run.
        tokenizer: tokenizer folder; None takes `data/tokenizer`.
        resume: continue the run in `run` from its latest sound checkpoint.
        force: resume although data or settings changed, where that is safe; it is said what was overridden.
        from_scratch: allow a new run in a folder that holds one (its checkpoints are moved aside, not deleted).
        jobs: threads for feature computation.
        callbacks: besides the loggers and the sample speaker.
        on_progress: told how far feature computation is.

    Raises:
        AmttsError: anything the user can mend; nothing is half-written then.
    """
    manifest = data / "train.jsonl"
    if not manifest.is_file():
        raise AmttsError(
            f"{data} is not a prepared corpus: {manifest.name} is missing",
            remedy="Make one with: amtts prepare SOURCE --out DIR",
        )
    overridden: list[str] = []
    previous = open_run(run, resume=resume, from_scratch=from_scratch)
    if not manifest.stat().st_size:
        raise AmttsError(f"manifest {manifest} holds no utterance", remedy="Check the ledger: rejected.jsonl")
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    torch.manual_seed(config.training.seed)
    text = load_tokenizer(tokenizer or data / "tokenizer") if backend_class.spec.tokenizers else None
    speakers = corpus_speakers(manifest)
    settings = config.model_config_of(backend_class.spec)
    backend = backend_class.build(settings, tokenizer=text, speakers=speakers)
    has_val = (data / "val.jsonl").is_file() and (data / "val.jsonl").stat().st_size > 0
    val_data = None
    with main_first():  # it makes the feature stores, the others open them
        train_data = _dataset(backend, manifest, data, config, jobs=jobs, on_progress=on_progress)
        if has_val:
            val_data = _dataset(backend, data / "val.jsonl", data, config, jobs=jobs, on_progress=on_progress)
    if not has_val:
        logger.warning(
            "%s holds no validation utterance: the last checkpoint counts as the best%s",
            data,
            ", and training.patience has nothing to watch" if config.training.patience else "",
        )
    normalizer = corpus_normalizer(data)
    info = describe(backend, config, text, normalizer, speakers, train_data)
    if previous is not None:
        adjustable = backend_class.spec.adjustable
        overridden = check_contract(previous.info, info, previous.folder, adjustable=adjustable, force=force)
        load_strict(backend.network, previous.weights(), backend=backend.spec.name)
    else:
        backend.fit(train_data.statistics())
    trainer = Trainer(
        backend,
        train_data=train_data,
        val_data=val_data,
        data=config.data,
        training=config.training,
        run=run,
        info=info,
        callbacks=[*_loggers(run, config, normalizer), *callbacks],
    )
    if previous is not None:
        trainer.load_state(previous.training_state(), same_data="dataset_hash" not in overridden)
    excluded = [row for dataset in (train_data, val_data) if dataset for row in dataset.excluded]
    with main_first():
        if is_main():
            prepare_folder(run, commented_yaml(config, backend_class), excluded, from_scratch=from_scratch)
    return TrainingResult(run, trainer.fit(), len(excluded))


def _dataset(
    backend: Backend,
    manifest: Path,
    data: Path,
    config: RunConfig,
    *,
    jobs: int,
    on_progress: Progress | None,
) -> SpeechDataset:
    most = config.data.max_samples if manifest.name == "train.jsonl" else 0
    done = 0
    with manifest.open("rb") as lines:
        total = sum(1 for line in lines if line.strip())
    total = min(total, most or total)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(f"features of {manifest.name}", done, total)

    return load_dataset(
        backend,
        manifest,
        Path(config.data.cache) if config.data.cache else data / "features",
        max_samples=most,
        max_excluded=config.data.max_excluded,
        jobs=jobs,
        on_progress=advance,
    )


def _loggers(run: Path, config: RunConfig, normalizer: Normalizer) -> list[Callback]:
    # The speaker comes first: at the end it tells the loggers of its last samples, which then close their files.
    loggers: list[Callback] = [SampleSpeaker(normalizer), JsonlLogger(run / "metrics.jsonl")]
    if config.training.tensorboard:
        loggers.append(TensorBoardLogger(run / "tensorboard"))
    return loggers
