"""Rows and targets of a batch, and losses that count every valid position once and nothing else.

B items, N text tokens, S code rows, K codebooks (1 for the semantic head).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.nn.soft_code_targets import soft_cross_entropy
from amtts_indextts2.config import DelayedHeadConfig, SemanticHeadConfig
from amtts_indextts2.delay import IGNORED, to_grid


@dataclass(frozen=True)
class CodeRows:
    """The code side of a batch.

    Attributes:
        inputs: (B, S) for the semantic head, (B, S, K) for delayed codes.
        targets: the same shape, `IGNORED` where there is no loss.
        lengths: (B,) real rows.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor


def code_rows(codes: Sequence[Tensor], head: SemanticHeadConfig | DelayedHeadConfig) -> CodeRows:
    """Rows of utterances whose codes are (T, K) each, K = 1 for the semantic head."""
    pairs = []
    for item in codes:
        if isinstance(head, SemanticHeadConfig):
            start, stop = item.new_tensor([head.start]), item.new_tensor([head.stop])
            pairs.append((torch.cat([start, item[:, 0]]), torch.cat([item[:, 0], stop])))
        else:
            pairs.append(to_grid(item, head.all_delays, head.cardinality))
    filler = head.stop if isinstance(head, SemanticHeadConfig) else head.cardinality + 1
    return CodeRows(
        inputs=torch.nn.utils.rnn.pad_sequence([x for x, _ in pairs], batch_first=True, padding_value=filler),
        targets=torch.nn.utils.rnn.pad_sequence(
            [y for _, y in pairs], batch_first=True, padding_value=IGNORED
        ),
        lengths=torch.tensor([len(x) for x, _ in pairs], device=codes[0].device),
    )


def text_loss(logits: Tensor, marked: Tensor, lengths: Tensor) -> Tensor:
    """Mean cross entropy of every token and the stop after it, a scalar.

    Args:
        logits: (B, N + 2, vocabulary).
        marked: (B, N + 2) ids with start and stop.
        lengths: (B,) tokens without marks; negative leaves an item out.
    """
    following = marked[:, 1:].clone()
    beyond = torch.arange(following.shape[1], device=marked.device) > lengths[:, None]
    following[beyond] = IGNORED
    return _mean(logits[:, :-1], following)


def book_losses(logits: Tensor, targets: Tensor, shares: Tensor | None = None) -> Tensor:
    """Mean cross entropy of each codebook, (K,).

    Args:
        logits: (B, S, codes) or (B, S, K, V + 1).
        targets: (B, S) or (B, S, K).
        shares: (K, codes, codes) distributions that the targets of each codebook stand for; None means themselves.
    """
    if targets.ndim == 2:
        logits, targets = logits[:, :, None], targets[:, :, None]
    books = [(logits[:, :, book], targets[:, :, book]) for book in range(targets.shape[2])]
    if shares is None:
        return torch.stack([_mean(scores, wanted) for scores, wanted in books])
    return torch.stack([_shared(*book, share) for book, share in zip(books, shares, strict=True)])


def weighted(losses: Tensor, head: SemanticHeadConfig | DelayedHeadConfig) -> Tensor:
    """Books' losses (K,) -> their weighted mean, a scalar."""
    if isinstance(head, SemanticHeadConfig):
        return losses[0]
    weights = torch.tensor(head.all_weights, device=losses.device)
    return (losses * weights).sum() / weights.sum()


def _mean(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy over the positions whose target counts; 0 where none does."""
    total = functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (targets != IGNORED).sum().clamp(min=1)


def _shared(logits: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Mean soft cross entropy over the positions whose target counts; 0 where none does."""
    counts = targets != IGNORED
    return soft_cross_entropy(logits[counts], targets[counts], shares) / counts.sum().clamp(min=1)
