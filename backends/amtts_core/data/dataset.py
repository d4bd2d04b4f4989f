"""Utterances as a backend sees them: token ids from the manifest, features from the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amtts_core.codec.stored_codes import StoredCodes
from amtts_core.contract.backend import Backend
from amtts_core.contract.reference_audio import FeatureExtractor
from amtts_core.contract.types import Batch, Example
from amtts_core.corpus.manifest import Utterance, empty_manifest, read_manifest
from amtts_core.data.features import FeatureSource, build_store, feature_extractor
from amtts_core.data.predicted_mels import with_predicted_mels
from amtts_core.data.prompts import PromptSet
from amtts_core.errors import AmttsError, ManifestError
from amtts_core.storage.feature_store import FeatureStore

logger = logging.getLogger(__name__)
TOO_MANY_UNKNOWN = 0.01
"""Share of unknown tokens from which on a tokenizer is not one of this text."""


@dataclass(frozen=True)
class Excluded:
    """An utterance that cannot be learned from, and why."""

    id: str
    reason: str


@dataclass
class SpeechDataset:
    """The usable utterances of one manifest.

    Attributes:
        utterances: in the manifest's order.
        tokens: text token ids of each.
        store: their features; row `rows[i]` belongs to utterance i.
        excluded: what was left out, with reasons.
        prompts: features of reference audio; None where the backend uses none.
    """

    backend: Backend
    utterances: list[Utterance]
    tokens: list[list[int]]
    rows: list[int]
    store: FeatureSource
    excluded: list[Excluded] = field(default_factory=list)
    prompts: PromptSet | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    def frames(self) -> list[int]:
        """The batching cost of every utterance."""
        return [self.backend.num_frames(self.store.lengths(row)) for row in self.rows]

    def seconds(self) -> float:
        """Speech in all."""
        return sum(utterance.duration for utterance in self.utterances)

    def example(self, index: int, *, epoch: int = 0) -> Example:
        """One utterance with its features; the epoch decides which other utterance is its prompt."""
        utterance = self.utterances[index]
        return Example(
            id=utterance.id,
            tokens=self.tokens[index],
            features=self.store.get(self.rows[index]),
            speaker=self.backend.speakers.id_of(utterance.speaker)
            if self.backend.speakers.num_embeddings
            else 0,
            prompt=self.prompts.prompt_for(index, epoch=epoch) if self.prompts else {},
        )

    def batch(self, indices: Sequence[int], *, epoch: int = 0) -> Batch:
        """The collated batch of these utterances."""
        return self.backend.collate([self.example(i, epoch=epoch) for i in indices])

    def statistics(self) -> dict[str, Any]:
        """Mean and deviation of the features of the usable utterances."""
        return self.store.statistics(self.rows)


def load_dataset(
    backend: Backend,
    manifest: Path,
    cache: Path,
    *,
    max_samples: int = 0,
    max_excluded: float = 0.0,
    select: Callable[[list[Utterance]], list[Utterance]] | None = None,
    codes: Path | None = None,
    mels_from: Path | None = None,
    prompt_seed: int | None = None,
    jobs: int = 2,
    on_progress: Callable[[int], None] | None = None,
) -> SpeechDataset:
    """Reads a manifest, tokenizes its normalized texts and opens or builds the feature store.

    Args:
        backend: whose features and tokens are wanted.
        manifest: a `.jsonl` file.
        cache: folder of feature stores.
        max_samples: take the first N utterances only; 0 takes all.
        max_excluded: share of lines that may be unusable (bad line, repeated id, missing or damaged audio) before this
            fails.
        select: takes some of them; None takes all.
        codes: store of `amtts encode-codes` to read from in place of the audio.
        mels_from: checkpoint whose predicted mels a vocoder learns from; None takes the recordings' own.
        prompt_seed: of the choice of reference audio, where the backend uses some; None uses none.
        jobs: threads.
        on_progress: called with 1 after each utterance, and once more for reference audio.

    Raises:
        AmttsError: the manifest is missing or empty, or too many of its lines are unusable.
    """
    faults: list[ManifestError] = []
    utterances = list(read_manifest(manifest, bad_lines=faults))
    if max_samples:
        utterances = utterances[:max_samples]
    if select:
        utterances = select(utterances)
    if not utterances and faults:
        raise faults[0]
    if not utterances:
        raise empty_manifest(manifest)
    store: FeatureSource
    if codes:
        store = StoredCodes.open(codes, backend, utterances)
    else:
        own = feature_extractor(backend)
        store = build_store(
            with_predicted_mels(own, backend, mels_from) if mels_from else own,
            manifest,
            utterances,
            cache,
            jobs=jobs,
            on_progress=on_progress,
        )
    extractor = prompt_extractor(backend) if prompt_seed is not None else None
    reference: FeatureStore | None = None
    if extractor:
        reference = build_store(extractor, manifest, utterances, cache, jobs=jobs, on_progress=on_progress)
    unusable = {**(reference.problems if reference else {}), **store.problems}
    dataset = SpeechDataset(backend, [], [], [], store)
    dataset.excluded += [Excluded("", fault.message) for fault in faults]
    tokenizer = backend.text_tokenizer
    met, repeated = set[str](), list[str]()
    for row, utterance in enumerate(utterances):
        tokens = tokenizer.encode(utterance.spoken_text()) if tokenizer else []
        problem = unusable.get(row) or backend.check_example(len(tokens), store.lengths(row))
        if tokenizer and not tokens:
            problem = "its text has no token"
        if utterance.id in met:  # ledgers and batches tell utterances apart by their ids
            problem = f"an utterance before it has the id '{utterance.id}' too"
            repeated.append(problem)
        met.add(utterance.id)
        if problem:
            dataset.excluded.append(Excluded(utterance.id, problem))
            continue
        dataset.utterances.append(utterance)
        dataset.tokens.append(tokens)
        dataset.rows.append(row)
    problems = [fault.message for fault in faults] + repeated + list(unusable.values())
    _refuse_too_many(manifest, problems, len(utterances), max_excluded)
    if not dataset.utterances:
        first = dataset.excluded[0]
        raise AmttsError(f"manifest {manifest} holds no usable utterance; '{first.id}': {first.reason}")
    if tokenizer:
        _tell_unknown(manifest, dataset.tokens, tokenizer.unk_id)
    if reference is not None and prompt_seed is not None:
        dataset.prompts = PromptSet(
            reference, dataset.rows, [u.speaker for u in dataset.utterances], prompt_seed
        )
    return dataset


def _tell_unknown(manifest: Path, texts: Sequence[list[int]], unknown: int) -> None:
    """Warns where a tokenizer does not know much of the text, as one of other languages does not."""
    share = sum(tokens.count(unknown) for tokens in texts) / max(1, sum(map(len, texts)))
    if share > TOO_MANY_UNKNOWN:
        logger.warning(
            "%.0f %% of the text tokens of %s are unknown to the tokenizer: nobody can learn what they sound like. "
            "Make one of this text with amtts tokenize, or teach a published one its letters with amtts extend-vocab",
            100 * share,
            manifest,
        )


def prompt_extractor(backend: Backend) -> FeatureExtractor | None:
    """How features of reference audio are computed; None where the backend's settings use none."""
    declared = backend.spec.reference_audio
    return declared.of(backend).prompt_extractor() if declared else None


def _refuse_too_many(manifest: Path, problems: list[str], utterances: int, allowed: float) -> None:
    share = len(problems) / max(1, utterances)
    if share > allowed:
        raise AmttsError(
            f"manifest {manifest}: {len(problems)} of {utterances} utterances are unusable "
            f"({100 * share:.1f} %, data.max_excluded allows {100 * allowed:g} %); first: {problems[0]}",
            remedy="Run `amtts prepare` again, or allow more with --set data.max_excluded=SHARE",
        )


def prefetch(
    make: Callable[[list[int]], Batch], batches: Sequence[list[int]], *, ahead: int = 2
) -> Iterator[Batch]:
    """Yields `make(batch)` in order while a background thread makes the next ones."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make, batch) for batch in batches[:ahead]]
        for following in range(ahead, len(batches) + ahead):
            ready = waiting.pop(0).result() if waiting else None
            if ready is None:
                return
            if following < len(batches):
                waiting.append(pool.submit(make, batches[following]))
            yield ready
