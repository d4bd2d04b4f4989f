"""Targets and first rows from a codec's entries."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from amtts_core.nn.soft_code_targets import (
    SPAN,
    code_embeddings,
    noisy_codes,
    soft_code_targets,
    soft_cross_entropy,
)


def clustered() -> torch.Tensor:
    """Eight entries: pairs that nearly coincide, far from the other pairs."""
    torch.manual_seed(0)
    centres = 10 * torch.eye(4)
    return torch.stack([centres, centres + 0.1], dim=1).flatten(0, 1)


def test_neighbours_share_a_target_and_marks_do_not() -> None:
    targets = soft_code_targets(clustered(), 1.0, num_tokens=10)
    assert torch.allclose(targets.sum(1), torch.ones(10))
    for code in range(8):
        assert int(targets[code].argmax()) == code
        assert float(targets[code, code ^ 1]) == pytest.approx(float(targets[code, code]) / torch.e, rel=1e-4)
        assert float(targets[code].topk(2).values.sum()) == pytest.approx(1, abs=1e-6)
    assert torch.equal(targets[8:], torch.eye(10)[8:])


def test_without_smoothing_it_is_plain_cross_entropy() -> None:
    logits, targets = torch.randn(20, 10), torch.randint(10, (20,))
    plain = functional.cross_entropy(logits, targets, reduction="sum")
    eye = soft_code_targets(clustered(), 0.0, num_tokens=10)
    assert float(soft_cross_entropy(logits, targets, eye)) == pytest.approx(float(plain), rel=1e-5)


def test_first_rows_keep_who_is_near_whom() -> None:
    rows = code_embeddings(clustered(), 64, deviation=0.02)
    assert rows.shape == (8, 64)
    assert float(rows.std()) == pytest.approx(0.02, rel=1e-4)
    apart = torch.cdist(rows, rows) + 1e6 * torch.eye(8)
    assert apart.argmin(1).tolist() == [code ^ 1 for code in range(8)]
    assert torch.equal(rows, code_embeddings(clustered(), 64, deviation=0.02))


@pytest.mark.parametrize("codebooks", [0, 3])
def test_noise_comes_in_spans_and_at_another_rate_for_each_utterance(codebooks: int) -> None:
    torch.manual_seed(0)
    codes = torch.arange(400).repeat(64, 1) % 1000
    codes[:, -5:] = 1001
    codes = codes[..., None].expand(-1, -1, codebooks).contiguous() if codebooks else codes
    before = codes.clone()
    heard = noisy_codes(codes, 1000, 0.25)
    assert heard.shape == codes.shape
    assert torch.equal(codes, before)
    assert torch.equal(heard[:, -5:], codes[:, -5:])
    assert 0 <= int(heard[:, :-5].min()) <= int(heard[:, :-5].max()) < 1000
    wrong = (heard != codes).flatten(2).any(2) if codebooks else heard != codes
    share = wrong.float().mean(1)
    assert 0.15 < float(share.mean()) < 0.35
    assert float(share.min()) < 0.1 < 0.4 < float(share.max())
    begins = (wrong[:, 1:] & ~wrong[:, :-1]).sum()
    assert float(wrong.sum() / begins) > SPAN - 0.5  # rows in a row
    step = (heard[:, 1:] - heard[:, :-1]).flatten(2)[..., 0] if codebooks else heard[:, 1:] - heard[:, :-1]
    orderly = wrong[:, 1:] & wrong[:, :-1] & (step == 1)
    assert 0.2 < float(orderly.sum() / wrong.sum()) < 0.6  # half are speech from elsewhere, in its own order


def test_a_single_row_can_be_noisy() -> None:
    assert noisy_codes(torch.tensor([[3]]), 8, 0.9).shape == (1, 1)
