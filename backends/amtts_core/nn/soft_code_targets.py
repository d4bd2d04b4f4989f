"""What a network that learns codes may know about them: which of them mean nearly the same.

A codec's entries are vectors, and neighbors among them sound alike. Rows that begin as those vectors, and targets
that give neighbors a share, spare a small corpus from learning that 1024 times over. V entries, D values an entry,
R rows of a table (V codes and what stands after them), C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def near_targets(vectors: Tensor, smoothing: float, *, rows: int) -> Tensor:
    """Target distributions in place of single codes.

    A code's target is shared as softmax(-d^2 / (smoothing * m)), d the distance of the entries and m the median over
    the codebook of the squared distance to the nearest neighbor.

    Args:
        vectors: (V, D).
        smoothing: 0 keeps the whole share at the code itself; at 1 a typical nearest neighbor gets 1/e of it.
        rows: R; rows after the codes have targets of their own alone.

    Returns:
        (R, R) float32, each row sums to 1.
    """
    targets = torch.eye(rows)
    if smoothing > 0:
        apart = torch.cdist(vectors.float(), vectors.float()).square()
        own = torch.eye(len(vectors), dtype=torch.bool)
        nearest = apart.masked_fill(own, torch.inf).amin(1).median().clamp(min=1e-12)
        targets[: len(vectors), : len(vectors)] = (-apart / (smoothing * nearest)).softmax(1)
    return targets


SPAN = 4
"""Rows that are wrong together where `noisy_codes` replaces some: about a tenth of a second."""


def code_rows(vectors: Tensor, channels: int, *, deviation: float, seed: int = 0) -> Tensor:
    """Rows (V, C) for codes that keep the distances of their vectors (V, D): standardized and projected by lot."""
    centred = (vectors.float() - vectors.float().mean(0)) / vectors.float().std().clamp(min=1e-6)
    random = torch.Generator().manual_seed(seed)
    projected = centred @ torch.randn(vectors.shape[1], channels, generator=random)
    return projected * (deviation / projected.std().clamp(min=1e-6))


def start_rows(tables: Sequence[Tensor], vectors: Tensor, *, deviation: float) -> None:
    """Sets the first V rows of each table (R, C) to `code_rows` of the vectors (V, D), in place."""
    for table in tables:
        rows = code_rows(vectors, table.shape[1], deviation=deviation)
        with torch.no_grad():
            table[: len(rows)] = rows.to(table)


def noisy_codes(codes: Tensor, known: int, share: float) -> Tensor:
    """Ids (B, S) or (B, S, K) with spans replaced: a network learns to go on after its own mistakes.

    Each utterance has a rate of its own, uniform from 0 to twice `share` (at most 1). Half of the spans of `SPAN` rows
    become codes by lot, the other half what stands elsewhere in the batch, which sounds like speech. Ids from `known`
    on stay.
    """
    rows = codes.shape[:2]
    rate = torch.rand(rows[0], 1) * min(1.0, 2 * share)
    begins = (torch.rand(rows) < rate / SPAN).float()
    hit = functional.max_pool1d(functional.pad(begins, (SPAN - 1, 0))[:, None], SPAN, stride=1)[:, 0] > 0
    by_lot = (torch.rand(rows[0], -(-rows[1] // SPAN)) < 0.5).repeat_interleave(SPAN, 1)[:, : rows[1]]
    lots = torch.randint(known, codes.shape).to(codes.device)
    shift = int(torch.randint(1, rows[1] + 1, ()))
    other = codes.roll((1, shift), (0, 1))
    other = torch.where(other < known, other, lots)
    shape = (*rows, *[1] * (codes.dim() - 2))
    wrong = torch.where(by_lot.view(shape).to(codes.device), lots, other)
    return torch.where(hit.view(shape).to(codes.device) & (codes < known), wrong, codes)


def soft_cross_entropy(logits: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Summed cross-entropy (a scalar) of logits (M, R) against the rows of shares (R, R) that targets (M,) name."""
    return -(functional.log_softmax(logits.float(), dim=-1) * shares[targets]).sum()
