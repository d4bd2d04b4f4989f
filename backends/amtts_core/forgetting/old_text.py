"""What the old languages lost: their texts' ids, and the scores of text and speech, in one network or in two.

A score is the mean cross entropy of a text's tokens, in nats per token, under the network's own text head; only rows of
old tokens take part, so that a network with new rows is comparable with the one before. Lower is better.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.finetune.vocab.own_checkpoint import is_own
from amtts_core.forgetting.old_speech import old_speech, speech_scores, with_tokens
from amtts_core.forgetting.text_losses import Forgetting, compare_scores
from amtts_core.nn.eval_mode import evaluating
from amtts_core.nn.text_loss import text_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.contract.backend import Backend
    from amtts_core.data.dataset import SpeechDataset


@dataclass(frozen=True, kw_only=True)
class OldTexts:
    """How old texts fare.

    Attributes:
        texts: how many.
        other_ids: texts that the new tokenizer cuts otherwise, with old and new ids.
        scores: before and after; None where the network predicts no text or there is no old one.
        after: mean score now; None where the network predicts no text.
        speech: likewise of the old speech; None where there is none, no old network, or it has other codes.
        speech_after: mean score of the old speech now.
        speech_note: why the speech before has no score.
    """

    texts: int
    other_ids: dict[str, tuple[list[int], list[int]]]
    scores: Forgetting | None = None
    after: float | None = None
    speech: Forgetting | None = None
    speech_after: float | None = None
    speech_note: str = ""


def read_texts(path: Path) -> list[str]:
    """The lines of a file that hold text.

    Raises:
        AmttsError: unreadable, or there are none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as fault:
        raise AmttsError(f"old text {path} cannot be read ({fault})") from None
    texts = [line for line in lines if line]
    if not texts:
        raise AmttsError(f"old text {path} holds no text", remedy="Give a file with a sentence a line")
    return texts


def old_ids(tokenizer: TextTokenizer, text: str, new_tokens: Collection[int]) -> list[int]:
    """Ids of a text of the old languages: without a language tag or another token that is new."""
    return [number for number in tokenizer.encode(text) if number not in new_tokens]


def text_scores(backend: Backend, texts: Sequence[Sequence[int]], *, rows: int = 0) -> list[float]:
    """The score of each text, nats per token.

    Args:
        backend: its network predicts text.
        texts: ids of each.
        rows: the first ids that take part; 0 takes all.

    Raises:
        AmttsError: the backend predicts no text.
    """
    scoring = backend.spec.text_scoring
    if scoring is None:
        raise AmttsError(f"backend '{backend.spec.name}' predicts no text, so old texts have no score")
    found = []
    with evaluating(backend.network):
        for ids in texts:
            logits, marked = scoring.of(backend).text_logits(ids)
            length = torch.tensor([len(marked)], device=marked.device)
            score = text_cross_entropy(logits[None].float(), marked[None], length, rows=_enough(rows, marked))
            found.append(float(score))
    return found


def _enough(rows: int, marked: Tensor) -> int:
    """`rows`, or all where a start or stop token comes after them."""
    return rows if rows > int(marked.max()) else 0


def original_size(vocab_size: int, new_tokens: Collection[int]) -> int:
    """Rows of old tokens where the new ones all come after them, else 0."""
    first = min(new_tokens, default=vocab_size)
    return first if len(set(new_tokens)) == vocab_size - first else 0


def compare_old_texts(
    checkpoint: Path,
    *,
    old_text: Path,
    old_tokenizer: Path,
    old_checkpoint: Path | None = None,
    old_data: Path | None = None,
) -> OldTexts:
    """Compares a trained voice with what its languages were before.

    Args:
        checkpoint: run or checkpoint of amtts.
        old_text: file with a text a line.
        old_tokenizer: the tokenizer before Amharic was added.
        old_checkpoint: the weights before: of amtts, of `amtts extend-vocab`, or as published.
        old_data: prepared corpus whose speech codes are scored too.

    Raises:
        AmttsError: something cannot be read, or the two are of different backends.
    """
    from amtts_core.tokenizers.published.open import open_any_tokenizer

    texts = read_texts(old_text)
    found = read_checkpoint(checkpoint)
    published = get_backend(found.info.backend).spec.published
    prefer = published.tokenizer if published else None
    tokenizer, before = found.tokenizer(), open_any_tokenizer(old_tokenizer, prefer=prefer)
    if tokenizer is None:
        raise AmttsError(f"checkpoint {found.folder} uses no text")
    new_tokens = set(found.info.new_tokens)
    wanted = [before.encode(text) for text in texts]
    now = [old_ids(tokenizer, text, new_tokens) for text in texts]
    other = {text: (w, n) for text, w, n in zip(texts, wanted, now, strict=True) if w != n}
    backend = found.load_backend()
    speech = None
    if old_data is not None:
        speech = old_speech(backend, old_data, new_tokens=new_tokens)
    result = OldTexts(texts=len(texts), other_ids=other)
    old = None if old_checkpoint is None else _network(old_checkpoint, found.info.backend, old_tokenizer)
    if backend.spec.text_scoring is not None:
        rows = original_size(tokenizer.vocab_size, new_tokens)
        after = text_scores(backend, now, rows=rows)
        result = replace(result, after=sum(after) / len(after))
        if old is not None:
            assert old.text_tokenizer is not None
            size = old.text_tokenizer.vocab_size
            scored = text_scores(old, wanted, rows=min(rows or size, size))
            result = replace(result, scores=compare_scores(scored, after))
    return result if speech is None else _with_speech(result, backend, old, speech, before)


def _with_speech(
    result: OldTexts, backend: Backend, old: Backend | None, speech: SpeechDataset, before: TextTokenizer
) -> OldTexts:
    after = speech_scores(backend, speech)
    result = replace(result, speech_after=sum(after) / len(after))
    if old is None:
        return replace(result, speech_note="give --old-checkpoint to compare")
    try:
        same = backend.feature_key() == old.feature_key()
    except AmttsError as fault:
        return replace(result, speech_note=f"the codes of the weights before cannot be made: {fault.message}")
    if not same:
        return replace(result, speech_note="the weights before speak in other codes")
    scored = speech_scores(old, with_tokens(speech, old, before))
    return replace(result, speech=compare_scores(scored, after))


def _network(path: Path, backend: str, tokenizer: Path) -> Backend:
    """The network before: loaded as a run that starts from it would."""
    if is_own(path):
        checkpoint = read_checkpoint(path)
        if checkpoint.info.backend != backend:
            raise AmttsError(f"{path} is of backend '{checkpoint.info.backend}', not '{backend}'")
        return checkpoint.load_backend()
    extended = (path / "vocab_report.json").is_file()
    start = open_init_weights(path, backend=backend, tokenizer=None if extended else tokenizer)
    kind = get_backend(backend)
    built = kind(kind.spec.config.model_validate(start.model), tokenizer=start.tokenizer)
    start.fill(built)
    return built
