"""What a network that learns codes may know about them: which of them mean nearly the same.

A codec's entries are vectors, and neighbours among them sound alike. Rows that begin as those vectors, and targets
that give neighbours a share, spare a small corpus from learning that 1024 times over. V entries, D values an entry,
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
    the codebook of the squared distance to the nearest neighbour.

    Args:
        vectors: (V, D).
        smoothing: 0 keeps the whole share at the code itself; at 1 a typical nearest neighbour gets 1/e of it.
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


def code_rows(vectors: Tensor, channels: int, *, deviation: float, seed: int = 0) -> Tensor:
    """Rows (V, C) for codes that keep the distances of their vectors (V, D): standardised and projected by lot."""
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
    """Ids of any shape with a share of those below `known` drawn anew: a network learns to go on after its mistakes."""
    hit = (torch.rand(codes.shape) < share).to(codes.device) & (codes < known)
    return torch.where(hit, torch.randint(known, codes.shape).to(codes.device), codes)


def soft_cross_entropy(logits: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Summed cross-entropy (a scalar) of logits (M, R) against the rows of shares (R, R) that targets (M,) name."""
    return -(functional.log_softmax(logits.float(), dim=-1) * shares[targets]).sum()
