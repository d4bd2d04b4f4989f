"""Packed rows: every vector once, nothing between, several items a row apart."""

from __future__ import annotations

import torch

from amtts_core.speech_lm.packing import pack


def test_padding_stands_at_the_end_only() -> None:
    lengths, widths = [(1, 3, 1, 3, 2), (1, 0, 1, 1, 4)], (1, 3, 1, 3, 4)
    packing = pack(lengths, widths)
    voice, prompt, mood = (
        start + torch.arange(2.0 * width).view(2, width, 1) for start, width in ((0, 1), (10, 3), (20, 1))
    )
    text, speech = 100 + torch.arange(6.0).view(2, 3, 1), 200 + torch.arange(8.0).view(2, 4, 1)
    rows = packing.gather(voice, prompt, mood, text, speech)
    assert rows[..., 0].tolist() == [
        [0, 10, 11, 12, 20, 100, 101, 102, 200, 201],
        [1, 21, 103, 204, 205, 206, 207, 0, 0, 0],
    ]
    assert packing.mask() is None
    assert packing.begins.tolist() == [[0, 1, 4, 5, 8], [0, 1, 1, 2, 3]]
    assert packing.segment(rows, 4, 2)[..., 0].tolist() == [[200, 201], [204, 205]]
    shared = pack(lengths, widths, row_tokens=20)
    mask = shared.mask()
    assert mask is not None
    assert shared.positions.tolist() == [[*range(10), *range(7)]]
    assert not bool(mask[0, 0, 10:, :10].any())
    assert bool(mask[0, 0, 16, 10:].all())
    assert shared.segment(shared.gather(voice, prompt, mood, text, speech), 3, 1)[..., 0].tolist() == [
        [100],
        [103],
    ]


def test_rows_are_filled_and_never_overfilled() -> None:
    lengths = [(4, n % 7 + 2, n % 13 + 2) for n in range(40)]
    packing = pack(lengths, (4, 9, 15), row_tokens=50)
    assert packing.source.shape[1] <= 50
    assert len(packing.source) <= 1.2 * sum(map(sum, lengths)) / 50 + 1
    used = packing.source[packing.block >= 0] if packing.block is not None else torch.tensor([])
    assert len(used) == len(set(used.tolist())) == sum(map(sum, lengths))


def test_a_longer_item_has_a_row_of_its_own() -> None:
    assert pack([(4, 30, 40), (4, 2, 2)], (4, 30, 40), row_tokens=50).source.shape == (2, 74)
