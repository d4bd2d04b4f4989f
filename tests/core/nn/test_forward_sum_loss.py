"""The loss of monotonic walks against all walks written out, and its edges."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from amtts_core.nn.forward_sum_loss import forward_sum_loss


def summed_walks(log_shares: Tensor) -> float:
    """Minus the log of the summed probability of every walk through (S, N), one by one."""
    steps, symbols = log_shares.shape
    walks = []
    for places in itertools.combinations(range(1, steps), symbols - 1):  # where the walk goes one further
        at = [sum(place <= step for place in places) for step in range(steps)]
        walks.append(log_shares[range(steps), at].sum())
    return -float(torch.logsumexp(torch.stack(walks), 0))


def test_it_sums_every_walk_and_ignores_what_lies_beyond() -> None:
    torch.manual_seed(0)
    shares = torch.randn(3, 6, 4).log_softmax(-1)
    speech, text = torch.tensor([6, 5, 4]), torch.tensor([3, 4, 1])
    wanted = [summed_walks(shares[n, : speech[n], : text[n]]) for n in range(3)]
    assert float(forward_sum_loss(shares, speech, text, spread=torch.inf)) == pytest.approx(
        sum(wanted) / 15, rel=1e-5
    )
    shares[0, :, 3], shares[1, 5], shares[2, 4:] = 7.0, -torch.inf, 3.0
    assert float(forward_sum_loss(shares, speech, text, spread=torch.inf)) == pytest.approx(
        sum(wanted) / 15, rel=1e-5
    )


def test_hurrying_and_waiting_is_no_way_to_walk() -> None:
    steps, symbols = 40, 10
    even = torch.arange(steps) * symbols // steps
    hurried = torch.arange(steps).clamp(max=symbols - 1)
    late = (torch.arange(steps) - (steps - symbols)).clamp(min=0)
    lengths = torch.tensor([steps]), torch.tensor([symbols])
    losses = []
    for walk in (even, hurried, late):
        shares = torch.full((1, steps, symbols), -6.0)
        shares[0, range(steps), walk] = 0.0
        losses.append(float(forward_sum_loss(shares, *lengths)))
    assert losses[0] < 0.3
    assert min(losses[1:]) > 10 * losses[0]


def test_items_without_a_walk_count_nothing_and_spoil_nothing() -> None:
    scores = torch.randn(3, 4, 6, requires_grad=True)
    loss = forward_sum_loss(scores.log_softmax(-1), torch.tensor([4, 0, 4]), torch.tensor([6, 0, 2]))
    loss.backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert float(scores.grad[:2].abs().sum()) == 0
    assert float(scores.grad[2].abs().sum()) > 0


def test_it_teaches_scores_to_walk() -> None:
    torch.manual_seed(1)
    scores = torch.randn(1, 12, 5, requires_grad=True)
    optimizer = torch.optim.Adam([scores], 0.1)
    for _ in range(150):
        loss = forward_sum_loss(scores.log_softmax(-1), torch.tensor([12]), torch.tensor([5]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    walked = scores[0].argmax(-1).tolist()
    assert float(loss.detach()) < 0.7
    assert walked == sorted(walked)
    assert set(walked) == {0, 1, 2, 3, 4}
