"""Losses count every target once, in chunks or not, for one codebook or several."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from amtts_core.nn.soft_code_targets import soft_code_targets
from amtts_core.speech_lm.losses import TokenLoss, chunked_cross_entropy, next_tokens, token_loss
from amtts_core.speech_lm.packing import pack
from amtts_core.speech_lm.streams import IGNORED


def test_every_token_after_the_first_is_a_target() -> None:
    tokens = torch.tensor([[5, 6, 7, 8], [1, 2, 9, 9], [3, 9, 9, 9]])
    found = next_tokens(tokens, torch.tensor([4, 2, 1]))[..., 0].tolist()
    none = IGNORED
    assert found == [[6, 7, 8, none], [2, none, none, none], [none] * 4]


@pytest.mark.parametrize("codebooks", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_chunks_add_up(codebooks: int, bias: bool) -> None:
    hidden, head = torch.randn(23, 8, requires_grad=True), nn.Linear(8, codebooks * 11, bias=bias)
    targets = torch.randint(0, 11, (23, codebooks))
    targets[3, 0] = IGNORED
    logits = head(hidden).unflatten(-1, (codebooks, 11))
    whole = torch.stack(
        [functional.cross_entropy(logits[:, k], targets[:, k], reduction="sum") for k in range(codebooks)]
    )
    for chunk in (1, 7, 23, 100):
        loss = chunked_cross_entropy(hidden, head, targets, chunk=chunk)
        assert loss.count.tolist() == [22, *[23] * (codebooks - 1)]
        torch.testing.assert_close(loss.total, whole)
        torch.testing.assert_close(
            torch.autograd.grad(loss.total.sum(), [hidden, *head.parameters()]),
            torch.autograd.grad(whole.sum(), [hidden, *head.parameters()], retain_graph=True),
        )
    assert not bool(chunked_cross_entropy(hidden[:0], head, targets[:0], chunk=4).means.detach().any())


def test_soft_targets_of_single_codes_change_no_loss() -> None:
    hidden, head = torch.randn(9, 8), nn.Linear(8, 2 * 6)
    targets = torch.randint(0, 6, (9, 2))
    targets[0] = IGNORED
    alone = torch.stack([soft_code_targets(torch.randn(5, 3), 0.0, num_tokens=6)] * 2)
    plain = chunked_cross_entropy(hidden, head, targets, chunk=4)
    soft = chunked_cross_entropy(hidden, head, targets, chunk=4, soft_targets=alone)
    torch.testing.assert_close(soft.means, plain.means)
    near = torch.stack([soft_code_targets(torch.randn(5, 3), 1.0, num_tokens=6)] * 2)
    assert not torch.allclose(
        chunked_cross_entropy(hidden, head, targets, chunk=4, soft_targets=near).total, plain.total
    )


def test_a_segment_is_scored_where_it_stands_and_padding_has_no_gradient() -> None:
    packing, head = pack([(2, 3), (2, 1)], (2, 3), row_tokens=20), nn.Linear(4, 5)
    segment = torch.randn(2, 3, 4)
    hidden = packing.gather(torch.randn(2, 2, 4), segment).requires_grad_()
    targets = torch.tensor([[1, 2, 3], [4, IGNORED, IGNORED]])[..., None]
    loss = token_loss(hidden, packing, 1, targets, head)
    expected = functional.cross_entropy(head(segment)[[0, 0, 0, 1], [0, 1, 2, 0]], torch.tensor([1, 2, 3, 4]))
    torch.testing.assert_close(loss.means[0], expected)
    loss.total.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.abs().sum(-1).gt(0).sum() == 4


def test_codebooks_have_their_weights() -> None:
    loss = TokenLoss(torch.tensor([2.0, 12.0]), torch.tensor([2, 3]))
    assert loss.means.tolist() == [1.0, 4.0]
    assert float(loss.mean()) == 2.5
    assert float(loss.mean((3, 1))) == 1.75
