"""From logits to codes: guidance as a filter, top-k, min-p, top-p, and draws that depend on the item's seed alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from amtts_core.settings import Settings

BARRED = float("-inf")


class SamplingConfig(Settings):
    """How codes are drawn."""

    temperature: float = Field(1.0, ge=0, description="of the draw; 0 takes the likeliest code")
    top_k: int = Field(0, ge=0, description="likeliest codes kept; 0 keeps all")
    top_p: float = Field(1.0, gt=0, le=1, description="smallest set of codes of this probability is kept")
    min_p: float = Field(
        0.0, ge=0, lt=1, description="codes below this share of the likeliest one are dropped"
    )
    guidance: float = Field(
        1.0, ge=1, description="text guidance; 1 is off, 2-3 hold to the text more closely"
    )
    guidance_top_k: int = Field(45, gt=0, description="codes that guidance lets through")
    guided_draw: bool = Field(
        False,
        description="the draw among those codes follows guidance too, which suits small networks, instead of the plain "
        "probabilities",
    )


def guided(logits: Tensor, without_text: Tensor, config: SamplingConfig) -> Tensor:
    """Logits of the same shape (..., V), with those barred that guidance does not rank among its best.

    As in Dia (nari-labs): guidance chooses the candidates, the draw among them follows the plain logits. With
    `guided_draw`, and without temperature, it follows guidance's own logits (Ho and Salimans 2022, arXiv:2207.12598).
    """
    ranked = without_text + config.guidance * (logits - without_text)
    if config.temperature == 0:
        return ranked
    kept = min(config.guidance_top_k, logits.shape[-1])
    threshold = ranked.topk(kept, dim=-1).values[..., -1:]
    return (ranked if config.guided_draw else logits).masked_fill(ranked < threshold, BARRED)


def filtered(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Logits (..., V) after temperature, top-k, min-p and top-p; what is dropped is -inf."""
    logits = logits.float() / config.temperature
    if config.top_k:
        threshold = logits.topk(min(config.top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < threshold, BARRED)
    if config.min_p:
        probability = logits.softmax(dim=-1)
        least = config.min_p * probability.amax(dim=-1, keepdim=True)
        logits = logits.masked_fill(probability < least, BARRED)
    if config.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probability = ordered.softmax(dim=-1)
        before = probability.cumsum(dim=-1) - probability  # of the codes ranked higher
        dropped = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= config.top_p)
        logits = logits.masked_fill(dropped, BARRED)
    return logits


class Noise:
    """An item's random numbers, a set for each row in the order of the rows: they depend on the seed alone.

    A row's numbers are kept until they are forgotten, so that a guess and the choice it is checked against draw alike.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)  # on the CPU
        self._kept: dict[int, Tensor] = {}
        self._next = 0

    def of(self, row: int, shape: torch.Size) -> Tensor:
        """Exponential numbers of `shape`, the same for all rows."""
        while self._next <= row:
            self._kept[self._next] = torch.empty(shape).exponential_(generator=self._generator)
            self._next += 1
        return self._kept[row]

    def forget(self, before: int) -> None:
        """Rows under `before` are not asked for again."""
        for row in [row for row in self._kept if row < before]:
            del self._kept[row]


def draw(logits: Tensor, config: SamplingConfig, noise: Sequence[tuple[Noise, int]]) -> Tensor:
    """Codes of logits (B, ..., V) -> (B, ...), each item with its own noise, at its row.

    An item's codes are the same alone and in a batch: its draws come from its own stream of random numbers.
    """
    if config.temperature == 0:
        return logits.argmax(dim=-1)
    drawn = torch.stack([item.of(row, logits.shape[1:]) for item, row in noise]).to(logits.device)
    ids = None
    if 0 < config.top_k < logits.shape[-1]:  # the rest is cheap for the few that are left
        logits, ids = logits.topk(config.top_k, dim=-1)
        drawn = drawn.gather(-1, ids)  # a number belongs to a code, not to its rank, which roundings change
    probability = filtered(logits, config).softmax(dim=-1)
    chosen = (probability / drawn.clamp(min=1e-10)).argmax(dim=-1)
    return chosen if ids is None else ids.gather(-1, chosen[..., None])[..., 0]
