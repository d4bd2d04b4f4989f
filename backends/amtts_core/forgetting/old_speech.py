"""What the old languages' speech is worth to a network: the loss of its codes, utterance by utterance.

The utterances are a prepared corpus in the old languages; their codes are made by the backend's own codec, as for a
training. Lower is better. A speaker whom the network does not know counts as its first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.data.dataset import SpeechDataset, load_dataset
from amtts_core.errors import AmttsError
from amtts_core.nn.eval_mode import evaluating

if TYPE_CHECKING:
    from amtts_core.contract.backend import Backend
    from amtts_core.contract.tokenizer import TextTokenizer

logger = logging.getLogger(__name__)


def old_speech(
    backend: Backend,
    data: Path,
    *,
    new_tokens: Collection[int],
    max_excluded: float = 0.02,
    cache: str = "",
    jobs: int = 1,
) -> SpeechDataset:
    """The utterances of a corpus in the old languages, read without new tokens such as a language tag.

    Args:
        backend: whose codes are wanted.
        data: prepared corpus; its `val.jsonl` counts, or `train.jsonl` where it holds none.
        new_tokens: ids that the old languages do not use.
        max_excluded: share of utterances that may be unusable, as `data.max_excluded` of a training.
        cache: folder of features; empty takes the corpus' own.
        jobs: threads.

    Raises:
        AmttsError: no prepared corpus, its audio cannot be read, or the backend predicts no codes.
    """
    if backend.spec.speech_scoring is None:
        raise AmttsError(
            f"backend '{backend.spec.name}' predicts no speech codes, so old speech has no score",
            remedy="Check its voice by ear, or with data.replay keep old data in the training",
        )
    found = [path for path in (data / "val.jsonl", data / "train.jsonl") if _holds_lines(path)]
    if not found:
        raise AmttsError(
            f"{data} is not a prepared corpus: train.jsonl is missing or empty",
            remedy="Make one of the old languages' recordings with: amtts prepare SOURCE --out DIR",
        )
    dataset = load_dataset(
        backend, found[0], Path(cache) if cache else data / "features", max_excluded=max_excluded, jobs=jobs
    )
    if dataset.excluded:
        first = dataset.excluded[0]
        logger.warning(
            "%d utterances of the old speech in %s cannot be scored; '%s': %s",
            len(dataset.excluded),
            data,
            first.id,
            first.reason,
        )
    new = set(new_tokens)
    dataset.tokens = [[number for number in tokens if number not in new] for tokens in dataset.tokens]
    return dataset


def _holds_lines(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def with_tokens(dataset: SpeechDataset, backend: Backend, tokenizer: TextTokenizer) -> SpeechDataset:
    """The same codes for another network, their texts read by another tokenizer."""
    tokens = [tokenizer.encode(utterance.spoken_text()) for utterance in dataset.utterances]
    return replace(dataset, backend=backend, tokens=tokens)


def speech_scores(
    backend: Backend,
    dataset: SpeechDataset,
    *,
    losses: Callable[[Batch], Iterable[PhaseLoss]] | None = None,
) -> list[float]:
    """The score of each utterance, nats per code.

    Args:
        backend: its network is put into evaluation mode, and back.
        dataset: see `old_speech`.
        losses: of a batch; None takes the backend's own learner.
    """
    scoring = backend.spec.speech_scoring
    assert scoring is not None
    make = losses or backend.learner().losses
    found = []
    with evaluating(backend.network):
        for index in range(len(dataset)):
            terms: dict[str, Any] = {}
            for loss in make(_batch(backend, dataset, index)):
                terms |= loss.terms
            found.append(float(terms[scoring.term]))
    return found


def _batch(backend: Backend, dataset: SpeechDataset, index: int) -> Batch:
    return backend.collate([dataset.example(index)])
