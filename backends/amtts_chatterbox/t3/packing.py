"""Where each utterance's vectors go: `conditioning | text | speech` without a gap, padding only at the end of a row.

The published forward pads between text and speech, so that speech attends to padding and a row's result depends on
its neighbours. Here a causal mask is exact with one utterance a row; with several, a block mask keeps them apart.
Knows integers only. B utterances, R rows, L positions of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Widths:
    """Sizes of the padded tensors that vectors are gathered from, per utterance."""

    conditioning: int
    text: int
    speech: int


@dataclass(frozen=True)
class Lengths:
    """Positions of one utterance; `prompt` says whether the vectors of a prompt are among its conditioning."""

    prompt: bool
    text: int
    speech: int


@dataclass(frozen=True)
class Place:
    """Where an utterance lies: its row, and the positions of the row where its text and its speech begin."""

    row: int
    text: int
    speech: int


@dataclass(frozen=True)
class Packing:
    """A plan to gather rows.

    Attributes:
        source: (R, L) int64, index into all conditioning, text and speech vectors and one last zero vector.
        positions: (R, L) int64, from 0 within each utterance.
        block: (R, L) int64, number of the utterance, -1 for padding; None with one utterance a row.
        places: one per utterance, in their order.
    """

    source: Tensor
    positions: Tensor
    block: Tensor | None
    places: tuple[Place, ...]

    def mask(self) -> Tensor | None:
        """(R, 1, L, L) bool, true where the key may be seen; None where plain causal attention is exact."""
        if self.block is None:
            return None
        order = torch.arange(self.block.shape[1], device=self.block.device)
        same = self.block[:, :, None] == self.block[:, None, :]
        return (same & (order[:, None] >= order[None, :]))[:, None]

    def gather(self, conditioning: Tensor, text: Tensor, speech: Tensor) -> Tensor:
        """(B, C, D), (B, N, D), (B, S, D) -> (R, L, D)."""
        zero = conditioning.new_zeros(1, conditioning.shape[2])
        parts = [part.flatten(0, 1).to(conditioning.dtype) for part in (conditioning, text, speech)]
        every = torch.cat([*parts, zero])
        return every.index_select(0, self.source.flatten()).view(*self.source.shape, -1)


def plan_packing(
    lengths: Sequence[Lengths],
    widths: Widths,
    *,
    row_tokens: int = 0,
    device: torch.device | str = "cpu",
) -> Packing:
    """Lays utterances out.

    Args:
        lengths: of each utterance.
        widths: of the padded tensors.
        row_tokens: put several utterances into a row while they fit into this many positions; a longer utterance
            has a row of its own. 0 gives each its own.
        device: of the result.
    """
    count = len(lengths)
    pieces = [_pieces(number, length, widths, count) for number, length in enumerate(lengths)]
    rows = _rows([len(piece) for piece in pieces], row_tokens)
    longest = max(sum(len(pieces[number]) for number in row) for row in rows)
    source = np.full((len(rows), longest), count * (widths.conditioning + widths.text + widths.speech))
    positions = np.zeros((len(rows), longest), dtype=np.int64)
    block = np.full((len(rows), longest), -1)
    places: list[Place | None] = [None] * count
    for index, row in enumerate(rows):
        begin = 0
        for number in row:
            end = begin + len(pieces[number])
            source[index, begin:end] = pieces[number]
            positions[index, begin:end] = np.arange(end - begin)
            block[index, begin:end] = number
            speech = end - lengths[number].speech
            places[number] = Place(index, speech - lengths[number].text, speech)
            begin = end
    shared = any(len(row) > 1 for row in rows)
    return Packing(
        source=torch.from_numpy(source).to(device),
        positions=torch.from_numpy(positions).to(device),
        block=torch.from_numpy(block).to(device) if shared else None,
        places=tuple(place for place in places if place is not None),
    )


def _pieces(number: int, length: Lengths, widths: Widths, count: int) -> np.ndarray:
    """Indices of one utterance's vectors, in the order in which they are fed."""
    conditioning = number * widths.conditioning + np.arange(widths.conditioning)
    if not length.prompt:
        conditioning = conditioning[[0, -1]]  # speaker and emotion remain
    text_begin = count * widths.conditioning + number * widths.text
    speech_begin = count * (widths.conditioning + widths.text) + number * widths.speech
    text, speech = text_begin + np.arange(length.text), speech_begin + np.arange(length.speech)
    return np.concatenate([conditioning, text, speech])


def _rows(sizes: Sequence[int], row_tokens: int) -> list[list[int]]:
    """First fit, longest first; the order within a row and of the rows follows the utterances."""
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
