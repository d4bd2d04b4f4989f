"""The two heads: one stream of codes as released, or K delayed codebooks. Both turn ids into rows and rows into logits.

B items, S rows, K codebooks of V entries, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amtts_indextts2.config import DelayedHeadConfig, SemanticHeadConfig

SPARE_ROWS = 3
"""Position rows beyond `max_mel_tokens`, as published: start, stop and one conditioning input."""


class SemanticCodes(nn.Module):
    """One code a row. Ids (B, S).

    Attributes:
        outputs: logits of a codebook.
    """

    def __init__(self, config: SemanticHeadConfig, *, dim: int, max_rows: int) -> None:
        super().__init__()
        self.config, self.outputs = config, config.num_codes
        self.embedding = nn.Embedding(config.num_codes, dim)
        self.positions = nn.Embedding(max_rows + SPARE_ROWS, dim)
        self.head = nn.Linear(dim, config.num_codes)

    def rows(self, ids: Tensor, positions: Tensor) -> Tensor:
        """ids (B, S), positions (S,) or (B, S) -> (B, S, D)."""
        return self.embedding(ids) + self.positions(positions)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., num_codes)."""
        return self.head(hidden)

    def book_tables(self) -> list[tuple[Tensor, Tensor]]:
        """Rows of embedding and head whose first V are the codes of the codebook."""
        return [(self.embedding.weight, self.head.weight)]


class DelayedCodes(nn.Module):
    """K codes a row: embeddings are summed, heads are parallel. Ids (B, S, K).

    Book k's embeddings are rows k * (V + 2) on: V codes, the end, padding; its logits k * (V + 1) on: codes, the end.

    Attributes:
        outputs: logits of a codebook.
    """

    offsets: Tensor

    def __init__(self, config: DelayedHeadConfig, *, dim: int, max_rows: int) -> None:
        super().__init__()
        self.config, self.outputs = config, config.cardinality + 1
        books, entries = config.num_codebooks, config.cardinality
        self.embedding = nn.Embedding(books * (entries + 2), dim)
        self.positions = nn.Embedding(max_rows + SPARE_ROWS, dim)
        self.head = nn.Linear(dim, books * (entries + 1))
        self.register_buffer("offsets", torch.arange(books) * (entries + 2), persistent=False)

    def rows(self, ids: Tensor, positions: Tensor) -> Tensor:
        """ids (B, S, K), positions (S,) or (B, S) -> (B, S, D)."""
        return self.embedding(ids + self.offsets).sum(dim=-2) + self.positions(positions)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., K, V + 1)."""
        return self.head(hidden).unflatten(-1, (self.config.num_codebooks, -1))

    def book_tables(self) -> list[tuple[Tensor, Tensor]]:
        """Rows of embedding and head of each codebook, whose first V are its codes."""
        books = self.config.num_codebooks
        return list(zip(self.embedding.weight.chunk(books), self.head.weight.chunk(books), strict=True))
