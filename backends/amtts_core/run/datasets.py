"""The training and validation utterances of a run."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.corpus.manifest import empty_manifest
from amtts_core.corpus.size_check import size_warnings
from amtts_core.data.dataset import Excluded, SpeechDataset, load_dataset, prompt_extractor
from amtts_core.data.mixed_dataset import MixedDataset
from amtts_core.errors import AmttsError
from amtts_core.run.options import Progress, Select

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """The utterances of a run; `val` is None where the corpus has none to validate on."""

    train: SpeechDataset
    val: SpeechDataset | None

    @property
    def excluded(self) -> list[Excluded]:
        """Utterances of both that cannot be used."""
        sets = [self.train] if self.val in (None, self.train) else [self.train, self.val]
        return [row for dataset in sets if dataset for row in dataset.excluded]

    def training_parts(self) -> list[SpeechDataset]:
        """The training set, or the new and the old part of a mixed one."""
        return [self.train.new, self.train.old] if isinstance(self.train, MixedDataset) else [self.train]


def training_manifest(data: Path) -> Path:
    """`train.jsonl` of a corpus folder.

    Raises:
        AmttsError: the folder is no prepared corpus.
    """
    manifest = data / "train.jsonl"
    if not manifest.is_file():
        raise AmttsError(
            f"{data} is not a prepared corpus: {manifest.name} is missing",
            remedy="Make one with: amtts prepare SOURCE --out DIR",
        )
    if not manifest.stat().st_size:
        raise empty_manifest(manifest)
    return manifest


def load_data(
    backend: Backend,
    data: Path,
    config: RunConfig,
    *,
    jobs: int,
    select: Select | None = None,
    on_progress: Progress | None = None,
) -> RunData:
    """Both sets, with their features.

    Args:
        backend: whose features and tokens are wanted.
        data: corpus folder.
        config: `data.max_samples` and `data.overfit` cut the training set, `data.replay` adds to it.
        jobs: threads.
        select: takes some utterances of a set; None takes all.
        on_progress: called with the progress of feature computation.

    Raises:
        AmttsError: see `load_dataset`.
    """

    def load(name: str, most: int, folder: Path = data, codes: str = config.data.codes) -> SpeechDataset:
        return load_set(
            backend,
            folder / name,
            config,
            codes=codes,
            most=most,
            jobs=jobs,
            select=select,
            on_progress=on_progress,
        )

    few = config.data.overfit
    train = load("train.jsonl", few or config.data.max_samples)
    if few:
        logger.warning(
            "data.overfit: overfitting %d utterances, which are the validation set too. The losses have to come close "
            "to 0; otherwise data, text or network are at fault. A sanity check, not a usable model",
            len(train),
        )
        return RunData(train, train)
    for warning in size_warnings(
        Counter(utterance.speaker for utterance in train.utterances),
        sum(utterance.duration for utterance in train.utterances),
    ):
        logger.warning("%s: %s", data, warning)
    replay = config.data.replay
    if replay.data and replay.ratio:
        old = load(training_manifest(Path(replay.data)).name, 0, Path(replay.data), replay.codes)
        train = MixedDataset.of(train, old, ratio=replay.ratio)
    path = data / "val.jsonl"
    if path.is_file() and path.stat().st_size:
        sets = RunData(train, load(path.name, 0))
        if sets.val and sets.val.prompts:
            sets.val.prompts.preferred = sets.training_parts()[0].prompts
        return sets
    logger.warning(
        "%s holds no validation utterance: the last checkpoint counts as the best%s",
        data,
        ", and training.patience has nothing to watch" if config.training.patience else "",
    )
    return RunData(train, None)


def load_set(
    backend: Backend,
    manifest: Path,
    config: RunConfig,
    *,
    jobs: int,
    codes: str = "",
    most: int = 0,
    select: Select | None = None,
    on_progress: Progress | None = None,
) -> SpeechDataset:
    """One manifest with its features, which are stored beside it or in `data.cache`; see `load_data`."""
    done = 0
    with manifest.open("rb") as lines:
        total = sum(1 for line in lines if line.strip())
    total = min(total, most or total) * (2 if prompt_extractor(backend) and not codes else 1)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(f"features of {manifest.name}", done, total)

    return load_dataset(
        backend,
        manifest,
        Path(config.data.cache) if config.data.cache else manifest.parent / "features",
        max_samples=most,
        max_excluded=config.data.max_excluded,
        select=select,
        codes=Path(codes) if codes else None,
        mels_from=Path(config.data.mels_from) if config.data.mels_from else None,
        prompt_seed=config.training.seed,
        jobs=jobs,
        on_progress=advance,
    )


def encode_prompts(backend: Backend[Any], sets: RunData, *, on_progress: Progress | None = None) -> None:
    """Runs a frozen reference encoder once per recording, and stores each speaker's conditioning in the network.

    Call it when the network has its weights. Without reference audio, or where the encoder is trained, nothing happens.

    Args:
        backend: any.
        sets: the features of their prompts are replaced.
        on_progress: called with what is computed, how much is done and how much there is.

    Raises:
        AmttsError: see `ReferenceAudioMethods.prompt_encoder`.
    """
    declared = backend.spec.reference_audio
    if declared is None or prompt_extractor(backend) is None:
        return
    reference = declared.of(backend)
    parts = sets.training_parts()
    _warn_of_own_prompts(parts)
    encoder = reference.prompt_encoder()
    if encoder is None:
        return
    done, total = 0, sum(len(d.prompts.store) for d in (*parts, sets.val) if d and d.prompts)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress("reference audio", done, total)

    seen: list[SpeechDataset] = []
    for dataset in (*parts, sets.val):
        if dataset and dataset.prompts and not any(dataset is other for other in seen):
            seen.append(dataset)
            dataset.prompts.encode(encoder, advance)
    reference.set_speaker_embeddings(
        (backend.speakers.id_of(prompts.speakers[index]), prompts.features(index))
        for dataset in parts
        if (prompts := dataset.prompts)
        for index in range(len(dataset))
    )


def _warn_of_own_prompts(parts: list[SpeechDataset]) -> None:
    own = [d.utterances[i].id for d in parts if d.prompts for i in d.prompts.without_partner()]
    if own:
        logger.warning(
            "%d of %d utterances have no other recording of their speaker and use themselves as prompt, so the model "
            "may learn to copy: %s",
            len(own),
            sum(len(dataset) for dataset in parts),
            ", ".join(own[:5]),
        )
