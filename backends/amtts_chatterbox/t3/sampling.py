"""From logits to the next token, in the published order: repetition penalty, temperature, min-p, top-p, draw.

Every utterance draws from its own seed, so a batch gives what its utterances give alone. B utterances, V tokens,
T tokens so far.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from amtts_chatterbox.t3.config import SamplingConfig


def guide(logits: Tensor, weight: float) -> Tensor:
    """Classifier-free guidance: (2B, V), rows with text first -> (B, V)."""
    with_text, without = logits.chunk(2)
    return with_text + weight * (with_text - without)


def penalise(logits: Tensor, history: Tensor, penalty: float) -> Tensor:
    """Makes spoken tokens less likely (Keskar et al. 2019): logits (B, V), history (B, T) -> (B, V)."""
    found = logits.gather(1, history)
    return logits.scatter(1, history, torch.where(found < 0, found * penalty, found / penalty))


def keep_probable(logits: Tensor, min_p: float) -> Tensor:
    """Drops tokens less likely than `min_p` times the likeliest."""
    return logits.masked_fill(logits < logits.amax(1, keepdim=True) + math.log(min_p), -torch.inf)


def keep_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Keeps the likeliest tokens whose mass reaches `top_p` (Holtzman et al. 2020), one at least."""
    ordered, order = logits.sort(dim=1)
    dropped = ordered.softmax(1).cumsum(1) <= 1 - top_p
    dropped[:, -1] = False
    return logits.masked_fill(torch.zeros_like(dropped).scatter(1, order, dropped), -torch.inf)


def draws(seeds: list[int], steps: int) -> Tensor:
    """Uniform numbers (B, steps), each row from its own seed."""
    rows = [torch.rand(steps, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def choose(logits: Tensor, history: Tensor, uniform: Tensor | None, config: SamplingConfig) -> Tensor:
    """The next token of each utterance.

    Args:
        logits: (B, V) float32, guided.
        history: (B, T) tokens so far, the start among them.
        uniform: (B,) in [0, 1); None takes the likeliest.
        config: what to apply.

    Returns:
        (B,) int64.
    """
    if config.repetition_penalty != 1:
        logits = penalise(logits, history, config.repetition_penalty)
    if uniform is None or config.temperature == 0:
        return logits.argmax(1)  # nothing below changes which token is likeliest
    logits = logits / config.temperature
    if config.min_p > 0:
        logits = keep_probable(logits, config.min_p)
    if config.top_p < 1:
        logits = keep_nucleus(logits, config.top_p)
    # float64: with float32 sums a uniform number close to 1 could pass the last token that is left.
    mass = logits.softmax(1).cumsum(1, dtype=torch.float64)
    return torch.searchsorted(mass, uniform[:, None].double() * mass[:, -1:], right=True)[:, 0]
