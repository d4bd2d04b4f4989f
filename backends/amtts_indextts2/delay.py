"""The delay pattern (Copet et al. 2023, MusicGen): codebook k speaks d_k rows after codebook 0.

So a row's codes can depend on the coarser codes of the same frame, and one row is still one step. K codebooks, T
frames, S = T + max(d_max, 1) rows. Ids of a book of V entries: 0..V-1 codes, V ends the speech (book 0 only), V + 1
is padding and also what stands before the first row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IGNORED = -100
"""Target of a cell that has no loss."""


def to_grid(codes: Tensor, delays: Sequence[int], cardinality: int) -> tuple[Tensor, Tensor]:
    """Codes (T, K) -> inputs (S, K) and targets (S, K), int64.

    Every code is a target exactly once, and the end of book 0 once: T * K + 1 targets, the rest is `IGNORED`.
    An input row is the target row before it, with padding where there is no target; book 0 stays at its end.
    """
    frames, books = codes.shape
    end, pad = cardinality, cardinality + 1
    rows = frames + max(max(delays), 1)
    targets = torch.full((rows, books), IGNORED, dtype=torch.int64, device=codes.device)
    for book, delay in enumerate(delays):
        targets[delay : delay + frames, book] = codes[:, book]
    targets[frames, 0] = end
    spoken = torch.where(targets == IGNORED, pad, targets)
    spoken[frames:, 0] = end
    before = torch.full((1, books), pad, dtype=torch.int64, device=codes.device)
    return torch.cat([before, spoken[:-1]]), targets


def from_grid(rows: Tensor, delays: Sequence[int], frames: int) -> Tensor:
    """Rows (S, K) -> codes (T, K) of `frames` T."""
    return torch.stack([rows[d : d + frames, book] for book, d in enumerate(delays)], dim=1)
