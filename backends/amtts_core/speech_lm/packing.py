"""Where each item's vectors go: its segments (voice, text, codes, ...) without a gap, padding only at the end of a row.

Padding between text and speech, as in published trainers, is attended to and moves positions, so that an item's result
depends on its neighbors. Here a causal mask is exact with one item a row; with several, a block mask keeps them apart.
Knows integers only. B items, G segments, W_g width of the padded segment g, R rows, L positions of a row, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """A plan to gather rows.

    Attributes:
        source: (R, L) int64, index into all segments' vectors and one last zero vector.
        positions: (R, L) int64, from 0 within each item.
        block: (R, L) int64, number of the item, -1 for padding; None with one item a row.
        rows: (B,) int64, row of each item.
        begins: (B, G) int64, position in that row where each segment begins.
    """

    source: Tensor
    positions: Tensor
    block: Tensor | None
    rows: Tensor
    begins: Tensor

    def mask(self) -> Tensor | None:
        """(R, 1, L, L) bool, true where the key may be seen; None where plain causal attention is exact."""
        if self.block is None:
            return None
        order = torch.arange(self.block.shape[1], device=self.block.device)
        same = self.block[:, :, None] == self.block[:, None, :]
        return (same & (order[:, None] >= order[None, :]))[:, None]

    def gather(self, *segments: Tensor) -> Tensor:
        """Padded segments (B, W_g, D) -> rows (R, L, D)."""
        zero = segments[0].new_zeros(1, segments[0].shape[2])
        vectors = torch.cat([*(part.flatten(0, 1).to(zero.dtype) for part in segments), zero])
        return vectors.index_select(0, self.source.flatten()).view(*self.source.shape, -1)

    def places(self, segment: int, width: int) -> tuple[Tensor, Tensor]:
        """Row (B, 1) and positions (B, W) of a segment's first `width` vectors, cut off at the end of a row."""
        order = torch.arange(width, device=self.begins.device)
        return self.rows[:, None], (self.begins[:, segment, None] + order).clamp(max=self.source.shape[1] - 1)

    def segment(self, hidden: Tensor, segment: int, width: int) -> Tensor:
        """Rows (R, L, D) -> a segment of each item, (B, W, D); what is beyond its length is meaningless."""
        return hidden[self.places(segment, width)]


def pack(
    lengths: Sequence[Sequence[int]],
    widths: Sequence[int],
    *,
    row_tokens: int = 0,
    device: torch.device | str = "cpu",
) -> Packing:
    """Lays items out.

    Args:
        lengths: (B, G) vectors of each segment of each item.
        widths: (G,) of the padded segments.
        row_tokens: put several items into a row while they fit into this many positions; a longer item has a row of
            its own. 0 gives each its own.
        device: of the result.
    """
    count = len(lengths)
    counts = np.array(lengths, dtype=np.int64).reshape(count, -1)
    offsets = np.cumsum([0, *(count * width for width in widths)])
    pieces = [
        np.concatenate(
            [offsets[g] + number * width + np.arange(counts[number, g]) for g, width in enumerate(widths)]
        )
        for number in range(count)
    ]
    rows = _rows([len(piece) for piece in pieces], row_tokens)
    longest = max(sum(len(pieces[number]) for number in row) for row in rows)
    source = np.full((len(rows), longest), offsets[-1])
    positions, block = np.zeros((len(rows), longest), np.int64), np.full((len(rows), longest), -1)
    row_of, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for index, row in enumerate(rows):
        begin = 0
        for number in row:
            end = begin + len(pieces[number])
            source[index, begin:end] = pieces[number]
            positions[index, begin:end] = np.arange(end - begin)
            block[index, begin:end] = number
            row_of[number], first[number] = index, begin
            begin = end
    shared = any(len(row) > 1 for row in rows)
    before = np.cumsum(counts, axis=1) - counts
    return Packing(
        source=torch.from_numpy(source).to(device),
        positions=torch.from_numpy(positions).to(device),
        block=torch.from_numpy(block).to(device) if shared else None,
        rows=torch.from_numpy(row_of).to(device),
        begins=torch.from_numpy(first[:, None] + before).to(device),
    )


def _rows(sizes: Sequence[int], row_tokens: int) -> list[list[int]]:
    """First fit, longest first; the order within a row and of the rows follows the items."""
    if not row_tokens:
        return [[number] for number in range(len(sizes))]
    rows: list[list[int]] = []
    room: list[int] = []
    for number in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        found = next((r for r, free in enumerate(room) if free >= sizes[number]), None)
        if found is None:
            rows.append([number])
            room.append(row_tokens - sizes[number])
        else:
            rows[found].append(number)
            room[found] -= sizes[number]
    return sorted(sorted(row) for row in rows)
