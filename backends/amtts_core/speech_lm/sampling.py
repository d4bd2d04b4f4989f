"""From logits to the next codes: processors in a stated order, and draws that depend on the item's seed alone.

B items, R rows of logits (B, or more where guesses are checked), K codebooks of V outputs each, T steps so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amtts_core.settings import Settings

BARRED = float("-inf")
Processor = Literal["guidance", "repetition_penalty", "temperature", "top_k", "min_p", "top_p"]
ORDER: tuple[Processor, ...] = ("guidance", "repetition_penalty", "temperature", "top_k", "min_p", "top_p")
"""The order of Chatterbox's released sampler (guidance, repetition penalty, temperature, min-p, top-p), with top-k
where Dia and transformers have it. IndexTTS2's released sampler has temperature, top-k, top-p: the same order."""


class SamplingConfig(Settings):
    """How codes are drawn. Processors that are off do nothing; the others apply in `order`, then a code is drawn."""

    temperature: float = Field(1.0, ge=0, description="flattens the distribution; 0 takes the likeliest code")
    top_k: int = Field(0, ge=0, description="likeliest codes kept; 0 keeps all")
    top_p: float = Field(
        1.0, gt=0, le=1, description="smallest set of codes of this probability is kept; 1 keeps all"
    )
    min_p: float = Field(
        0.0, ge=0, lt=1, description="codes below this times the probability of the likeliest one are dropped"
    )
    repetition_penalty: float = Field(
        1.0, ge=1, description="divides the logits of codes already spoken (one codebook only); 1 is off"
    )
    guidance_scale: float = Field(
        1.0,
        ge=1,
        description="classifier-free guidance by the text; 1 is off (a scale that counts from 0, plus 1)",
    )
    guidance_top_k: int = Field(45, ge=0, description="codes that guidance lets through; 0 lets all through")
    guided_draw: bool = Field(
        False,
        description="the draw among those codes follows guidance too, which suits small networks, instead of the "
        "probabilities without guidance",
    )
    order: tuple[Processor, ...] = Field(ORDER, description="in which processors apply")
    retries: int = Field(
        2,
        ge=0,
        description="further seeds tried for speech without an end, of implausible length, or with a silence",
    )

    @model_validator(mode="after")
    def _complete(self) -> SamplingConfig:
        if sorted(self.order) != sorted(ORDER):
            raise ValueError(f"order {list(self.order)} must name each of {list(ORDER)} once")
        if self.order.index("top_k") < self.order.index("guidance"):
            raise ValueError(f"order {list(self.order)}: guidance must come before top_k")
        return self


class PerItemRng:
    """An item's random numbers, a set for each step in the order of the steps: they depend on the seed alone.

    A step's numbers are kept until they are forgotten, so that a guess and the choice it is checked against draw alike.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)  # on the CPU
        self._kept: dict[int, Tensor] = {}
        self._next = 0

    def gumbel(self, step: int, shape: torch.Size) -> Tensor:
        """Gumbel noise of `shape`, the same for all steps."""
        while self._next <= step:
            drawn = torch.empty(shape).exponential_(generator=self._generator).clamp_(min=1e-10)
            self._kept[self._next] = drawn.log_().neg_()
            self._next += 1
        return self._kept[step]

    def forget(self, before: int) -> None:
        """Steps under `before` are not asked for again."""
        for step in [step for step in self._kept if step < before]:
            del self._kept[step]


class Sampler:
    """Draws codes.

    Args:
        config: how.
    """

    def __init__(self, config: SamplingConfig) -> None:
        self.config = config
        self.guided = config.guidance_scale > 1
        self.needs_history = config.repetition_penalty != 1
        order = config.order
        self._penalty_last = order.index("repetition_penalty") > order.index("top_k") and self.needs_history

    def __call__(
        self,
        logits: Tensor,
        noise: Sequence[tuple[PerItemRng, int]],
        *,
        without_text: Tensor | None = None,
        history: Tensor | None = None,
    ) -> Tensor:
        """The codes of each row, (R, K) int64.

        Args:
            logits: (R, K, V) float32, -inf where a code may not be spoken.
            noise: each row's random numbers and its step.
            without_text: (R, K, V) of the same rows without their text, with guidance.
            history: (R, K, T) codes so far, with a repetition penalty.
        """
        scores, ids = logits, None
        for name in self._active():
            if name == "guidance":
                assert without_text is not None
                scores = guided(scores, without_text, self.config)
            elif name == "top_k" and self._penalty_last:  # the penalty looks codes up by their ids
                least = scores.topk(min(self.config.top_k, scores.shape[-1]), dim=-1).values[..., -1:]
                scores = scores.masked_fill(scores < least, BARRED)
            elif name == "top_k":
                scores, ids = scores.topk(min(self.config.top_k, scores.shape[-1]), dim=-1)
            elif name == "repetition_penalty":
                assert history is not None
                scores = penalized(scores, history, self.config.repetition_penalty)
            else:
                scores = _FILTERS[name](scores, getattr(self.config, name))
        if self.config.temperature == 0:
            return scores.argmax(dim=-1)
        drawn = torch.stack([rng.gumbel(step, logits.shape[1:]) for rng, step in noise]).to(scores.device)
        if ids is None:
            return (scores + drawn).argmax(dim=-1)  # a draw by the softmax of the scores (Gumbel 1954)
        # noise belongs to a code, not to its rank, which roundings change
        chosen = (scores + drawn.gather(-1, ids)).argmax(dim=-1, keepdim=True)
        return ids.gather(-1, chosen)[..., 0]

    def _active(self) -> list[Processor]:
        """Processors that change anything, in order; with temperature 0 only those that change the likeliest code."""
        config = self.config
        on = {
            "guidance": self.guided,
            "repetition_penalty": self.needs_history,
            "temperature": config.temperature not in (0, 1),
            "top_k": config.top_k > 0,
            "min_p": config.min_p > 0,
            "top_p": config.top_p < 1,
        }
        drawing = config.temperature > 0
        return [n for n in config.order if on[n] and (drawing or n in ("guidance", "repetition_penalty"))]


def guided(logits: Tensor, without_text: Tensor, config: SamplingConfig) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): (..., V) -> (..., V).

    With `guidance_top_k` guidance chooses the candidates, as in Dia (nari-labs), and the draw among them follows the
    plain logits, or with `guided_draw` (and without temperature) guidance's own.
    """
    ranked = logits + (config.guidance_scale - 1) * (logits - without_text)
    if config.temperature == 0 or (config.guidance_top_k == 0 and config.guided_draw):
        return ranked
    kept = min(config.guidance_top_k or logits.shape[-1], logits.shape[-1])
    threshold = ranked.topk(kept, dim=-1).values[..., -1:]
    return (ranked if config.guided_draw else logits).masked_fill(ranked < threshold, BARRED)


def penalized(logits: Tensor, history: Tensor, penalty: float) -> Tensor:
    """Makes spoken codes less likely (Keskar et al. 2019): logits (..., V), history (..., T) -> (..., V)."""
    found = logits.gather(-1, history)
    return logits.scatter(-1, history, torch.where(found < 0, found * penalty, found / penalty))


def keep_probable(logits: Tensor, min_p: float) -> Tensor:
    """Drops codes less likely than `min_p` times the likeliest (Nguyen et al. 2024): (..., V) -> (..., V)."""
    return logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(min_p), BARRED)


def keep_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Keeps the likeliest codes whose mass reaches `top_p`, one at least (Holtzman et al. 2020): (..., V) -> (...,
    V)."""
    ordered, order = logits.sort(dim=-1)
    dropped = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
    dropped[..., -1] = False
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), BARRED)


_FILTERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "temperature": lambda scores, value: scores / value,
    "min_p": keep_probable,
    "top_p": keep_nucleus,
}
