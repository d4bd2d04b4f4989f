"""A training run from folders and settings: checks, datasets, callbacks, the loop, and what is left on disk."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amtts_core.backend import Backend
from amtts_core.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    checkpoints_of,
    damage,
    load_strict,
    read_checkpoint,
)
from amtts_core.config import RunConfig, commented_yaml, read_config_file, resolve_config
from amtts_core.data.corpus import corpus_normalizer, corpus_speakers
from amtts_core.data.dataset import Excluded, SpeechDataset, load_dataset
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.text.normalize import Normalizer
from amtts_core.text.tokenizer import TextTokenizer, load_tokenizer
from amtts_core.training.callbacks import Callback, Outcome
from amtts_core.training.keeper import put_back
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
    previous = _open_run(run, resume=resume, from_scratch=from_scratch)
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
    info = _describe(backend, config, text, normalizer, speakers, train_data)
    if previous is not None:
        _check_contract(previous.info, info, previous.folder)
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
        trainer.load_state(previous.training_state())
    excluded = [row for dataset in (train_data, val_data) if dataset for row in dataset.excluded]
    with main_first():
        if is_main():
            _prepare_folder(run, commented_yaml(config, backend_class), excluded, from_scratch=from_scratch)
    return TrainingResult(run, trainer.fit(), len(excluded))


def stored_config(run: Path, overrides: dict[str, Any]) -> tuple[RunConfig, type[Backend]]:
    """The settings a run was started with, with overrides on top, for `--resume`."""
    if not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{run} holds no run to resume (no config.yaml)", remedy="Start one without --resume"
        )
    return resolve_config(
        read_config_file(run / "config.yaml"), overrides=overrides, source=str(run / "config.yaml")
    )


def _open_run(run: Path, *, resume: bool, from_scratch: bool) -> Checkpoint | None:
    """The checkpoint to continue from, or None for a fresh run; refuses to mix runs. Changes nothing."""
    if run.exists() and not run.is_dir():
        raise AmttsError(f"{run} is a file; expected a folder to write the run into")
    folders = checkpoints_of(run)
    if resume:
        return latest_sound_checkpoint(run)
    if folders and not from_scratch:
        raise AmttsError(
            f"{run} already holds a run (at {folders[-1].name})",
            remedy="Continue it with --resume, or begin again with --from-scratch, or choose another --out",
        )
    return None


def _prepare_folder(run: Path, config: str, excluded: Sequence[Excluded], *, from_scratch: bool) -> None:
    """Puts an earlier run aside and writes what this one starts with; everything else is known to be sound."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        if from_scratch and checkpoints_of(run):
            aside = _free_name(run / "checkpoints-before")
            (run / "checkpoints").rename(aside)
            logger.warning("the earlier checkpoints of %s are kept in %s", run, aside)
            for name in ("latest", "best"):
                (run / name).unlink(missing_ok=True)
        (run / "config.yaml").write_text(config, encoding="utf-8")
        _write_exclusions(run, excluded)
    except OSError as error:
        raise AmttsError(
            f"run folder {run} cannot be written: {error.strerror}", remedy="Choose another --out"
        ) from None


def _free_name(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}-{number}")


def latest_sound_checkpoint(run: Path) -> Checkpoint:
    """The newest undamaged checkpoint of a run; a damaged one is skipped and announced.

    Raises:
        CheckpointError: the run has none.
    """
    put_back(run)
    folders = checkpoints_of(run)
    if not folders:
        raise CheckpointError(
            f"{run} holds no checkpoint to resume from", remedy="Start a run without --resume"
        )
    for folder in reversed(folders):
        wrong = damage(folder)
        if not wrong:
            return read_checkpoint(folder)
        logger.warning("checkpoint %s is damaged (%s); going back to the one before", folder, wrong)
    raise CheckpointError(f"every checkpoint of {run} is damaged", remedy="Start again with --from-scratch")


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


def _write_exclusions(run: Path, rows: Sequence[Excluded]) -> None:
    """Lists utterances that cannot be learned from in `excluded.jsonl`."""
    with (run / "excluded.jsonl").open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps({"id": row.id, "reason": row.reason}, ensure_ascii=False) + "\n")
    if rows:
        logger.warning("%d utterances are left out of training, see %s", len(rows), run / "excluded.jsonl")


def _describe(
    backend: Backend,
    config: RunConfig,
    tokenizer: TextTokenizer | None,
    normalizer: Normalizer,
    speakers: Sequence[str],
    data: SpeechDataset,
) -> CheckpointInfo:
    digest = hashlib.sha256()
    for utterance in data.utterances:
        digest.update(f"{utterance.id}|{utterance.duration}|{utterance.spoken_text()}\n".encode())
    return CheckpointInfo(
        backend=backend.spec.name,
        backend_config=config.model,
        sample_rate=backend.spec.sample_rate,
        normalizer=normalizer.settings.model_dump(mode="json"),
        tokenizer_kind=tokenizer.kind if tokenizer else "",
        tokenizer_hash=tokenizer.fingerprint() if tokenizer else "",
        vocab_size=tokenizer.vocab_size if tokenizer else 0,
        untrained_tokens=_untrained(tokenizer, data),
        speakers=list(speakers),
        dataset_hash=digest.hexdigest(),
        base_weights_licence=backend.spec.weights_licence,
        git_revision=_git_revision(),
        versions={
            name: importlib.metadata.version(name) for name in ("amtts", "torch", "numpy", "accelerate")
        },
    )


def _untrained(tokenizer: TextTokenizer | None, data: SpeechDataset) -> list[int]:
    """Token ids that no training text holds, apart from the special ones."""
    if tokenizer is None:
        return []
    met = {token for tokens in data.tokens for token in tokens}
    met |= {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    return [token for token in range(tokenizer.vocab_size) if token not in met]


def _git_revision() -> str:
    """Revision of the amtts checkout this code runs from; empty for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


CONTRACT = (
    "backend",
    "backend_config",
    "tokenizer_hash",
    "vocab_size",
    "dataset_hash",
    "normalizer",
    "speakers",
)


def _check_contract(stored: CheckpointInfo, current: CheckpointInfo, folder: Path) -> None:
    """Refuses to resume with other data, text or network than the run was started with."""
    for name in CONTRACT:
        before, now = getattr(stored, name), getattr(current, name)
        while isinstance(before, dict) and isinstance(now, dict) and before != now:
            key = next(k for k in {**before, **now} if before.get(k, name) != now.get(k, name))
            name, before, now = f"{name}.{key}", before.get(key), now.get(key)
        if before != now:
            raise CheckpointError(
                f"cannot resume from {folder}: {name} was {_short(before)}, is now {_short(now)}",
                remedy="Use the data and tokenizer it was started with, or start a new run",
            )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:40] + "…"
