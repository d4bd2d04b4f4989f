"""Opens a network for decoding: precision, kernels and drafts as this machine runs them fastest.

A precision that was asked for is a permission to round: where float32 is as fast, float32 is taken, which is exact.
Drafts change no code, so they are used wherever they pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import nn
from torch.nn import functional

from amtts_core.speech_lm import tuning
from amtts_core.speech_lm.kernels import WeightCache
from amtts_core.speech_lm.step_model import (
    BlockModules,
    DecoderModules,
    DecoderWeights,
    StepModel,
    StepNetwork,
)
from amtts_core.units import Seconds

Precision = Literal["fp32", "bf16", "int8"]
PROMPT = 64
"""Vectors that are read before a measurement."""
AHEAD = (1, 2, 3, 5, 7)
"""Numbers of guesses that are tried."""
ACCEPTED = 0.85
"""Share of guesses that are accepted, assumed to choose their number: an 8-bit copy of a trained network reaches it."""
LEAST_GAIN = 1.05
"""Times as fast as without that drafts have to be."""
_WEIGHTS: WeightCache[dict[Precision, DecoderWeights]] = WeightCache()


@dataclass(frozen=True)
class DraftPlan:
    """How to guess.

    Attributes:
        ahead: guesses before a check; 0 guesses none.
        break_even: rows that a check has to give on average, or guessing is slower than not.
    """

    ahead: int = 0
    break_even: float = 0.0


def open_step_model(
    network: nn.Module,
    *,
    rows: int,
    precision: Precision = "fp32",
    draft: bool = False,
    every_output: bool = False,
) -> tuple[StepModel, DraftPlan]:
    """A model for so many rows, and how to guess with it.

    Args:
        network: in evaluation mode; a `StepNetwork`.
        rows: items, twice as many with guidance.
        precision: the least exact one that is allowed; off a CPU 8 bits are float32.
        draft: guess in 8 bits where that is faster: in float32 on a CPU.
        every_output: compute all outputs of the head, also those that are never spoken.
    """
    modules = cast(StepNetwork, network).decoder_modules()
    if every_output:
        modules = replace(modules, head_rows=0)
    own = modules.head.weight.dtype
    made = _WEIGHTS.of(network, (own, modules.head_rows), dict)

    def weights_in(kind: Precision) -> DecoderWeights:
        if kind not in made:
            dtype = {"fp32": own, "bf16": torch.bfloat16, "int8": torch.float32}[kind]
            int8 = kind == "int8" and modules.head.weight.device.type == "cpu"
            made[kind] = DecoderWeights(modules, dtype=dtype, int8=int8)
        return made[kind]

    if precision != "fp32" and modules.head.weight.device.type == "cpu":
        precision = _fastest(weights_in, precision, rows)
        for other in [kind for kind in made if kind not in ("fp32", precision)]:
            del made[other]
    weights = weights_in(precision)
    plan = plan_drafts(weights, rows) if draft and weights.exact else DraftPlan()
    return StepModel(weights, ahead=plan.ahead), plan


def _fastest(weights_in: Callable[[Precision], DecoderWeights], asked: Precision, rows: int) -> Precision:
    """`asked`, or float32 where that is as fast."""
    if tuning.pinned("precision") is not None:
        return "fp32" if tuning.pinned("precision") == "fp32" else asked
    key = f"precision:{asked} {weights_in('fp32').shape} rows {rows}"
    known = tuning.recorded(key)
    if known is None:
        models = {
            kind: _prompted(weights_in(kind), rows) for kind in cast("tuple[Precision, ...]", ("fp32", asked))
        }
        measured = tuning.measure({kind: [_stepping(model)] for kind, model in models.items()})
        times = measured.seconds
        name = asked if times[asked] < (1 - tuning.MARGIN) * times["fp32"] else "fp32"
        choice = tuning.Choice(name, times[name], times["fp32"])
        known = tuning.record(key, choice, keep=not measured.busy)
    return asked if known.name == asked else "fp32"


def plan_drafts(weights: DecoderWeights, rows: int) -> DraftPlan:
    """How many guesses are checked together on this machine, measured if it has not been done before."""
    pin = tuning.pinned("draft")
    if pin is not None:
        ahead = int(pin) if pin.isdecimal() else 0
        return DraftPlan(ahead, 0.0 if ahead == 0 else 0.6 * (ahead + 1))
    key = f"draft:{weights.shape} rows {rows}"
    known = tuning.recorded(key) or _measured_drafts(key, weights, rows)
    return DraftPlan(int(known.name), known.value) if known.name.isdecimal() else DraftPlan()


def _measured_drafts(key: str, weights: DecoderWeights, rows: int) -> tuning.Choice:
    models = {ahead: _prompted(weights, rows, ahead=ahead) for ahead in AHEAD}
    first = models[AHEAD[0]]
    runs: dict[str, tuning.Work] = {"exact": [_stepping(first)], "draft": [_stepping(first, draft=True)]}
    runs |= {str(ahead): [_checking(model)] for ahead, model in models.items()}
    measured = tuning.measure(runs)
    times = measured.seconds
    best = tuning.Choice(tuning.PLAIN, times["exact"], times["exact"])
    for ahead in AHEAD:
        cycle: Seconds = ahead * times["draft"] + times[str(ahead)]
        expected = (1 - ACCEPTED ** (ahead + 1)) / (1 - ACCEPTED)  # steps of a check, Leviathan et al. 2023
        each = cycle / expected
        if each * LEAST_GAIN < times["exact"] and each < best.seconds:
            best = tuning.Choice(str(ahead), each, times["exact"], cycle / times["exact"])
    return tuning.record(key, best, keep=not measured.busy)


def _prompted(weights: DecoderWeights, rows: int, *, ahead: int = 0) -> StepModel:
    """A model that has read something."""
    model = StepModel(weights, ahead=ahead)
    _read_prompt(model, rows)
    return model


@torch.inference_mode()
def _read_prompt(model: StepModel, rows: int) -> None:
    model.prefill(torch.ones(rows, PROMPT, model.weights.width), torch.full((rows,), PROMPT), steps=1)


def _stepping(model: StepModel, *, draft: bool = False) -> Callable[[], object]:
    embeds = torch.ones(model.rows, model.weights.width)

    @torch.inference_mode()
    def run() -> None:
        model.step(embeds, draft=draft)
        model.rollback(1)

    return run


def _checking(model: StepModel) -> Callable[[], object]:
    embeds = torch.ones(model.rows, model.ahead + 1, model.weights.width)

    @torch.inference_mode()
    def run() -> None:
        model.check(embeds)
        model.rollback(model.ahead + 1)

    return run


ROWS = (1, 2, 8)
"""Rows of `measure_shape`: one sentence, one with guidance, eight."""


def measure_shape(*, width: int = 512, layers: int = 12, heads: int = 8, codes: int = 1024) -> None:
    """Measures all choices for a GPT-2 of these sizes, anew where they are known already.

    Args:
        width: channels.
        layers: blocks.
        heads: of the attention.
        codes: outputs of the head.
    """
    network = _Gpt2(width, layers, heads, codes).eval()
    with tuning.measuring_anew():
        for rows in ROWS:
            for precision in cast("tuple[Precision, ...]", ("fp32", "bf16", "int8")):
                model, _ = open_step_model(network, rows=rows, precision=precision, draft=rows < max(ROWS))
                _read_prompt(model, rows)


class _Gpt2(nn.Module):
    """A random network of a shape; a `StepNetwork`."""

    def __init__(self, width: int, layers: int, heads: int, codes: int) -> None:
        super().__init__()
        self._heads = heads
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.LayerNorm(width),
                    nn.Linear(width, 3 * width),
                    nn.Linear(width, width),
                    nn.LayerNorm(width),
                    nn.Linear(width, 4 * width),
                    nn.Linear(4 * width, width),
                ]
            )
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, codes)

    def decoder_modules(self) -> DecoderModules:
        """See `StepNetwork`."""
        blocks = [BlockModules(*cast(nn.ModuleList, block)) for block in self.blocks]
        return DecoderModules(
            blocks=blocks, norms=[self.norm], head=self.head, heads=self._heads, activation=functional.gelu
        )
