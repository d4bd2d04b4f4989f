"""Networks that are built to be loaded draw no weights; outside of that they do."""

from __future__ import annotations

import torch
from torch import nn

from amtts_core.nn.undrawn import Undrawn


def test_nothing_is_drawn_inside_and_everything_outside() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with Undrawn():
        layers = [nn.Linear(64, 64), nn.Conv1d(4, 4, 3), nn.Embedding(9, 9)]
        kept = nn.init.normal_(torch.zeros(5))
        ones = nn.LayerNorm(6).weight
    assert torch.equal(torch.rand(3), expected), "the random state is as it was"
    assert not kept.any()
    assert torch.equal(ones, torch.ones(6)), "what is no draw is done"
    assert [tuple(layer.weight.shape) for layer in layers] == [(64, 64), (4, 4, 3), (9, 9)]
    assert float(nn.Linear(64, 64).weight.std()) > 0.01


def test_truncated_draws_end() -> None:
    """torch draws these again until all lie inside: what is left as it was would never."""
    tensor = torch.full((4, 4), 9.0)
    with Undrawn():
        nn.init.trunc_normal_(tensor, std=0.02, a=-0.1, b=0.1)
    assert tensor.abs().max() <= 0.1
