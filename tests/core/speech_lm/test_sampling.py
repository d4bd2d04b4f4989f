"""Sampling against the definitions of its processors, and in the order of the released samplers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from amtts_core.speech_lm.sampling import ORDER, PerItemRng, Sampler, SamplingConfig, guided, penalized

PROBABILITIES = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
LOGITS = PROBABILITIES.log()


def draws(logits: torch.Tensor, settings: dict[str, Any], count: int = 4000, **inputs: Any) -> torch.Tensor:
    """Shares (V,) of the codes among so many draws of one row of logits (V,)."""
    sampler, rng = Sampler(SamplingConfig.model_validate(settings)), PerItemRng(0)
    rows = logits[None, None].expand(1, count, -1)  # as codebooks, which are drawn apart
    extra = {name: value[None, None].expand(1, count, -1) for name, value in inputs.items()}
    found = sampler(rows.clone(), [(rng, 0)], **extra)[0]
    return torch.bincount(found, minlength=len(logits)) / count


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
        ({"min_p": 0.51}, 1),
        ({"top_k": 4, "top_p": 0.6}, 2),
        ({"temperature": 0.25, "top_p": 0.95}, 2),
    ],
)
def test_filters_keep_the_likeliest(settings: dict[str, float], kept: int) -> None:
    assert (draws(LOGITS, settings) > 0).tolist() == [True] * kept + [False] * (5 - kept)


def test_draws_follow_the_probabilities() -> None:
    torch.testing.assert_close(draws(LOGITS, {}, 20000), PROBABILITIES, rtol=0, atol=0.012)
    assert draws(LOGITS, {"temperature": 0}, 10).tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("top_k", [0, 12])
def test_processors_follow_the_published_order(top_k: int) -> None:
    """Against the processors of transformers, in the order of Chatterbox' and IndexTTS2's released samplers."""
    torch.manual_seed(0)
    logits, history = torch.randn(40) * 3, torch.randint(0, 40, (7,))
    ids = history[None]
    expected = RepetitionPenaltyLogitsProcessor(1.4)(ids, logits[None]) / 0.7
    if top_k:
        expected = TopKLogitsWarper(top_k)(ids, expected)
    expected = TopPLogitsWarper(0.8)(ids, MinPLogitsWarper(0.05)(ids, expected))
    mass = expected.softmax(1)[0]
    settings = {"repetition_penalty": 1.4, "temperature": 0.7, "min_p": 0.05, "top_p": 0.8, "top_k": top_k}
    found = draws(logits, settings, 8000, history=history)
    torch.testing.assert_close(found, mass, atol=0.02, rtol=0)
    assert bool((found[mass == 0] == 0).all())


def test_another_order_is_another_distribution_and_a_wrong_one_is_refused() -> None:
    assert SamplingConfig().order == ORDER
    settings = {"temperature": 3.0, "top_p": 0.8}
    late = [name for name in ORDER if name != "temperature"] + ["temperature"]
    assert int((draws(LOGITS, settings) > 0).sum()) > int(
        (draws(LOGITS, {**settings, "order": late}) > 0).sum()
    )
    for wrong in (ORDER[1:], ("top_k", *(name for name in ORDER if name != "top_k")), (*ORDER, "top_p")):
        with pytest.raises(ValidationError, match="order"):
            SamplingConfig(order=wrong)


def test_a_penalty_makes_what_was_spoken_less_likely() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    assert penalized(logits, torch.tensor([[0, 1, 1]]), 2.0).tolist() == [[1.0, -2.0, 0.5]]
    greedy = Sampler(SamplingConfig(temperature=0, repetition_penalty=5))
    history = torch.tensor([[[0]]])
    assert int(greedy(logits[None], [(PerItemRng(0), 0)], history=history)) == 2


def test_an_item_draws_alone_as_in_a_batch() -> None:
    sampler, logits = Sampler(SamplingConfig(temperature=1.3)), torch.randn(3, 7, 50)
    together = sampler(logits.clone(), [(PerItemRng(s), 0) for s in (1, 2, 3)])
    for row in range(3):
        alone = sampler(logits[row : row + 1].clone(), [(PerItemRng(row + 1), 0)])
        assert torch.equal(alone[0], together[row])


def test_numbers_of_a_step_come_back_until_they_are_forgotten() -> None:
    rng, shape = PerItemRng(4), torch.Size([3])
    second, first = rng.gumbel(1, shape), rng.gumbel(0, shape)
    assert torch.equal(rng.gumbel(1, shape), second)
    assert torch.equal(PerItemRng(4).gumbel(0, shape), first)
    rng.forget(1)
    assert list(rng._kept) == [1]


def test_guidance_filters_and_leaves_the_odds_among_the_rest() -> None:
    plain, empty = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 2.0, -3.0]])
    found = guided(plain, empty, SamplingConfig(guidance_scale=3.0, guidance_top_k=2))
    # ranked: 2, 3, -4, 3 -> the second and the fourth go through, as plain logits
    assert found.tolist() == [[float("-inf"), 1.0, float("-inf"), -1.0]]
    greedy = guided(plain, empty, SamplingConfig(temperature=0, guidance_scale=3.0))
    assert greedy.tolist() == [[2.0, 3.0, -4.0, 3.0]]


def test_a_guided_draw_follows_guidance_among_its_candidates() -> None:
    plain, empty = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 2.0, -3.0]])
    config = SamplingConfig(guidance_scale=3.0, guidance_top_k=2, guided_draw=True)
    assert guided(plain, empty, config).tolist() == [[float("-inf"), 3.0, float("-inf"), 3.0]]
    every = config.model_copy(update={"guidance_top_k": 0})
    assert guided(plain, empty, every).tolist() == [[2.0, 3.0, -4.0, 3.0]], (
        "as Chatterbox: cond + w (cond - uncond)"
    )
