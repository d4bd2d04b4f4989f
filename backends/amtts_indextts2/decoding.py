"""Codes from a prompt, row by row, with a static cache. Batches of sentences run in lock step.

Prompts of a batch are padded at the front and masked, rows are placed by their own positions, and every item draws
from its own random numbers: a sentence sounds the same alone and in a batch.
B items, P prefix rows, N text tokens, K codebooks, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amtts_core.errors import AmttsError
from amtts_indextts2.codes import DelayedCodes, SemanticCodes
from amtts_indextts2.delay import from_grid
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.sampling import BARRED, SamplingConfig, draw, guided
from amtts_indextts2.trunk import Cache


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One sentence to speak.

    Attributes:
        prefix: (P, D), see `IndexTTS2Gpt.prefix`; P is the same for all items of a batch.
        text: (N,) ids without marks.
        max_frames: the speech is ended there.
        min_frames: the speech does not end before.
        seed: of its draws.
    """

    prefix: Tensor
    text: Tensor
    max_frames: int
    min_frames: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Decoded:
    """What was spoken.

    Attributes:
        codes: (T, K) int64, K = 1 for the semantic head.
        ended: True where the network ended it, False where `max_frames` did.
    """

    codes: Tensor
    ended: bool


@torch.inference_mode()
def decode(
    network: IndexTTS2Gpt,
    prompts: Sequence[Prompt],
    *,
    sampling: SamplingConfig | None = None,
    position_skip: int = 0,
    bar_start: bool = True,
) -> list[Decoded]:
    """Speaks a batch of prompts.

    Args:
        network: in evaluation mode.
        prompts: at least one.
        sampling: how codes are drawn; None takes the likeliest ones.
        position_skip: rows left out after the first one. Official code with its cache leaves out one, so 1 makes
            official weights sound as released; networks trained here want 0.
        bar_start: never speak the id that stands before the first code (the released code allows it).

    Raises:
        AmttsError: a prompt is longer than the network's position tables.
    """
    sampling = sampling or SamplingConfig(temperature=0)
    _check_lengths(network, prompts, position_skip)
    state = _Decoding(network, prompts, sampling, position_skip)
    if isinstance(network.speech, SemanticCodes):
        return _semantic(state, network.speech, bar_start=bar_start)
    return _delayed(state, network.speech)


def _check_lengths(network: IndexTTS2Gpt, prompts: Sequence[Prompt], skip: int) -> None:
    room = network.speech.positions.num_embeddings - skip
    delay = 0 if isinstance(network.speech, SemanticCodes) else max(network.speech.config.all_delays)
    for prompt in prompts:
        if len(prompt.text) > network.config.max_text_tokens:
            raise AmttsError(
                f"a text of {len(prompt.text)} tokens is longer than the network's {network.config.max_text_tokens}",
                remedy="Cut it into shorter sentences",
            )
        if prompt.max_frames + delay >= room or prompt.max_frames < 1:
            raise AmttsError(f"{prompt.max_frames} frames are out of range; expected 1 to {room - delay - 1}")


class _Decoding:
    """The network's state while a batch speaks: `logits` of the next row, then `feed` what was chosen."""

    def __init__(
        self, network: IndexTTS2Gpt, prompts: Sequence[Prompt], sampling: SamplingConfig, skip: int
    ) -> None:
        self.network, self.prompts, self.sampling, self.skip = network, prompts, sampling, skip
        self.guiding = sampling.guidance > 1
        self.generators = [torch.Generator().manual_seed(prompt.seed) for prompt in prompts]
        self.row = 0
        rows = [self._prompt_rows(prompt, prompt.text) for prompt in prompts]
        if self.guiding:
            rows += [self._prompt_rows(prompt, prompt.text[:0]) for prompt in prompts]
        longest = max(len(item) for item in rows)
        delay = max(network.speech.config.all_delays) if isinstance(network.speech, DelayedCodes) else 0
        capacity = longest + max(prompt.max_frames for prompt in prompts) + delay + 1
        self.cache: Cache = network.trunk.new_cache(len(rows), capacity)
        if any(len(item) < longest for item in rows):
            start = torch.tensor([longest - len(item) for item in rows], device=rows[0].device)
            self.cache.visible = torch.arange(capacity, device=start.device) >= start[:, None]
        padded = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
        for number, item in enumerate(rows):
            padded[number, longest - len(item) :] = item
        self.hidden = network.trunk(padded, self.cache)[:, -1]

    def _prompt_rows(self, prompt: Prompt, text: Tensor) -> Tensor:
        """Prefix, marked text and the first code row, (P + N + 3, D)."""
        speech, device = self.network.speech, prompt.prefix.device
        marked = self.network.marked_text(text[None], torch.tensor([len(text)], device=device))
        if isinstance(speech, SemanticCodes):
            first = torch.tensor([[speech.config.start]], device=device)
        else:
            books = speech.config.num_codebooks
            first = torch.full((1, 1, books), speech.config.cardinality + 1, device=device)
        zero = torch.zeros(1, dtype=torch.int64, device=device)
        return torch.cat([prompt.prefix[None], self.network.text.rows(marked), speech.rows(first, zero)], 1)[
            0
        ]

    def choose(self, bar: Tensor) -> Tensor:
        """Ids (B,) or (B, K) of the next row; cells that are True in `bar`, of the logits' shape, are not chosen."""
        logits = self.network.speech.logits(self.hidden).float()
        if self.guiding:
            logits, without_text = logits.chunk(2)
            barred = logits.masked_fill(bar, BARRED)
            logits = guided(barred, without_text, self.sampling)
        return draw(logits.masked_fill(bar, BARRED), self.sampling, self.generators)

    def feed(self, ids: Tensor) -> None:
        """Takes the chosen row (B,) or (B, K) as input of the next one."""
        self.row += 1
        both = torch.cat([ids, ids]) if self.guiding else ids
        position = torch.tensor([self.row + self.skip], device=ids.device)
        self.hidden = self.network.trunk(self.network.speech.rows(both[:, None], position), self.cache)[:, -1]


def _semantic(state: _Decoding, speech: SemanticCodes, *, bar_start: bool) -> list[Decoded]:
    config, device = speech.config, state.hidden.device
    limits = torch.tensor([p.max_frames for p in state.prompts], device=device)
    least = torch.tensor([p.min_frames for p in state.prompts], device=device)
    spoken: list[Tensor] = []
    ends = torch.full_like(limits, -1)
    while True:
        bar = torch.zeros(len(limits), config.num_codes, dtype=torch.bool, device=device)
        bar[:, config.start] = bar_start
        bar[:, config.stop] = state.row < least
        ids = state.choose(bar)
        stops = (ends < 0) & (ids == config.stop)
        ends = torch.where(stops, state.row, ends)
        spoken.append(ids)
        if bool(((ends >= 0) | (state.row + 1 >= limits)).all()):
            break
        state.feed(ids)
    rows = torch.stack(spoken, dim=1)
    frames = torch.where(ends >= 0, torch.minimum(ends, limits), limits.clamp(max=rows.shape[1])).tolist()
    return [Decoded(rows[i, :n, None], ended=bool(0 <= int(ends[i]) <= n)) for i, n in enumerate(frames)]


def _delayed(state: _Decoding, speech: DelayedCodes) -> list[Decoded]:
    config, device = speech.config, state.hidden.device
    end_id, pad = config.cardinality, config.cardinality + 1
    delays = torch.tensor(config.all_delays, device=device)
    limits = torch.tensor([p.max_frames for p in state.prompts], device=device)
    least = torch.tensor([p.min_frames for p in state.prompts], device=device)
    spoken: list[Tensor] = []
    ends = torch.full_like(limits, -1)
    own = torch.zeros(len(limits), dtype=torch.bool, device=device)
    while True:
        bar = torch.zeros(len(limits), len(delays), config.cardinality + 1, dtype=torch.bool, device=device)
        bar[:, 1:, end_id] = True  # only book 0 ends the speech
        bar[:, 0, end_id] = state.row < least
        ids = state.choose(bar)
        says = (ends < 0) & (ids[:, 0] == end_id)
        own |= says
        ends = torch.where(says | ((ends < 0) & (state.row >= limits)), state.row, ends)
        over = (ends >= 0)[:, None] & (state.row >= ends[:, None] + delays)
        ids = torch.where(over | (state.row < delays), pad, ids)
        ids[:, 0] = torch.where(ends >= 0, end_id, ids[:, 0])
        spoken.append(ids)
        # Each book still has to say what it says later: the closing rows.
        if bool(((ends >= 0) & (state.row + 1 >= ends + delays.max())).all()):
            break
        state.feed(ids)
    rows = torch.stack(spoken, dim=1)
    return [
        Decoded(from_grid(rows[i], config.all_delays, int(n)), ended=bool(own[i])) for i, n in enumerate(ends)
    ]
