"""Sampling filters against their definitions."""

from __future__ import annotations

import pytest
import torch

from amtts_indextts2.sampling import Noise, SamplingConfig, draw, filtered, guided

PROBABILITIES = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
LOGITS = PROBABILITIES.log()


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, 5),
        ({"top_k": 2}, 2),
        ({"top_k": 99}, 5),
        ({"top_p": 0.5}, 1),
        ({"top_p": 0.6}, 2),
        ({"top_p": 0.95}, 4),
        ({"min_p": 0.29}, 3),
        ({"min_p": 0.5}, 2),
        ({"top_k": 4, "top_p": 0.6}, 2),
        ({"temperature": 0.25, "top_p": 0.95}, 2),
    ],
)
def test_filters_keep_the_likeliest(settings: dict[str, float], kept: int) -> None:
    found = filtered(LOGITS[None, None], SamplingConfig.model_validate(settings))[0, 0]
    assert torch.isfinite(found).tolist() == [True] * kept + [False] * (5 - kept)


def test_draws_follow_the_probabilities() -> None:
    config, noise = SamplingConfig(), Noise(0)
    found = draw(LOGITS.expand(1, 20000, 5), config, [(noise, 0)])[0]
    share = torch.bincount(found, minlength=5) / 20000
    torch.testing.assert_close(share, PROBABILITIES, rtol=0, atol=0.012)
    assert int(draw(LOGITS[None], SamplingConfig(temperature=0), [(noise, 0)])) == 0


def test_an_item_draws_alone_as_in_a_batch() -> None:
    config, logits = SamplingConfig(temperature=1.3), torch.randn(3, 7, 50)
    together = draw(logits, config, [(Noise(s), 0) for s in (1, 2, 3)])
    for row in range(3):
        alone = draw(logits[row : row + 1], config, [(Noise(row + 1), 0)])
        assert torch.equal(alone[0], together[row])


def test_guidance_filters_and_leaves_the_odds_among_the_rest() -> None:
    plain, empty = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 2.0, -3.0]])
    found = guided(plain, empty, SamplingConfig(guidance=3.0, guidance_top_k=2))
    # ranked: 2, 3, -4, 3 -> the second and the fourth go through, as plain logits
    assert found.tolist() == [[float("-inf"), 1.0, float("-inf"), -1.0]]
    greedy = guided(plain, empty, SamplingConfig(temperature=0, guidance=3.0))
    assert greedy.tolist() == [[2.0, 3.0, -4.0, 3.0]]


def test_a_guided_draw_follows_guidance_among_its_candidates() -> None:
    plain, empty = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 2.0, -3.0]])
    found = guided(plain, empty, SamplingConfig(guidance=3.0, guidance_top_k=2, guided_draw=True))
    assert found.tolist() == [[float("-inf"), 3.0, float("-inf"), 3.0]]
