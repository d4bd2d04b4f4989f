"""Codes from prompts, step by step. Batches run in lock step.

Every item draws from its own random numbers and has its own positions: it sounds the same alone and in a batch.

One item in float32 on a CPU waits for the weights, which come from memory once a step. There the network's own copy
in 8 bits guesses some steps ahead, and one pass of the exact weights checks them all (Leviathan et al. 2023, "Fast
inference from transformers via speculative decoding"). Guess and check draw with the same random numbers, and only a
step that the check chooses too is kept, so what is spoken is what the exact weights say.
B items, R rows (items, twice as many with guidance), K codebooks, T frames, D channels.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from amtts_core.errors import AmttsError
from amtts_core.speech_lm.codebooks import CodeTables
from amtts_core.speech_lm.runtime import DraftPlan, Precision, open_step_model
from amtts_core.speech_lm.sampling import BARRED, PerItemRng, Sampler, SamplingConfig
from amtts_core.speech_lm.step_model import DecoderModules
from amtts_core.speech_lm.streams import CodeStream, Decoded

PATIENCE, PAUSE = 16, 48
"""With fewer steps than pay from a check, over about so many checks, guessing rests for so many steps."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One sentence to speak.

    Attributes:
        embeds: (L, D), all that the network reads before the first code.
        without_text: (L', D), the same without its text, for guidance.
        min_frames: the speech does not end before.
        max_frames: it is ended there.
        shortest: frames under which the speech is implausible, see `guards`.
        seed: of its draws.
        first_position: of the start before the first code, where positions count from the beginning of the prompt.
    """

    embeds: Tensor
    without_text: Tensor | None = None
    min_frames: int = 0
    max_frames: int
    shortest: int = 0
    seed: int = 0
    first_position: int = 0


class SpeechLm(Protocol):
    """A network that speaks codes."""

    speech: CodeTables

    def decoder_modules(self) -> DecoderModules:
        """Its transformer and the head of its codes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How codes are decoded.

    Attributes:
        sampling: how codes are drawn.
        precision: of the weights; rounder than float32 only where that is faster.
        draft: guess steps in 8 bits and check them together where that is faster: one item in float32 on a CPU. Codes
            are the same but where two are as good as equal: several steps at once are rounded otherwise than one.
        position_skip: positions left out after the first step.
        any_id: also draw ids that are neither a code nor the end, as released code does.
    """

    sampling: SamplingConfig = SamplingConfig(temperature=0)
    precision: Precision = "fp32"
    draft: bool = False
    position_skip: int = 0
    any_id: bool = False


@torch.inference_mode()
def generate(
    network: nn.Module, prompts: Sequence[Prompt], decoding: Decoding | None = None
) -> list[Decoded]:
    """The codes of a batch of prompts.

    Args:
        network: a `SpeechLm` in evaluation mode.
        prompts: at least one; with guidance all have `without_text`.
        decoding: None takes the likeliest codes.

    Raises:
        AmttsError: a prompt asks for more frames than the network has positions.
    """
    state = _Generation(network, prompts, decoding or Decoding())
    for _ in state.run():
        pass
    return [stream.decoded() for stream in state.streams]


@torch.inference_mode()
def generate_stream(
    network: nn.Module, prompt: Prompt, decoding: Decoding | None = None, *, every: int
) -> Generator[Tensor, None, bool]:
    """Yields the codes of one prompt as they become whole, at least `every` frames at a time: (T, K) each.

    Joined they are what `generate` gives. The last piece may be shorter. Returns `Decoded.ended`.
    """
    state = _Generation(network, [prompt], decoding or Decoding())
    stream, given = state.streams[0], 0
    for _ in state.run():
        if stream.whole - given >= every:
            yield stream.frames(given, stream.whole)
            given = stream.whole
    if stream.whole > given:
        yield stream.frames(given, stream.whole)
    return stream.ended


def pad_left(items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Vectors (L, D) of items -> (R, L, D), each item's at its end, zeros before, and lengths (R,)."""
    longest = max(len(item) for item in items)
    padded = items[0].new_zeros(len(items), longest, items[0].shape[1])
    for number, item in enumerate(items):
        padded[number, longest - len(item) :] = item
    return padded, torch.tensor([len(item) for item in items])


class _Generation:
    """The state of a batch: choose the next codes, hand them to the streams, feed what they say."""

    def __init__(self, network: nn.Module, prompts: Sequence[Prompt], decoding: Decoding) -> None:
        self._speech: CodeTables = cast(Any, network).speech
        self._decoding, self._sampler = decoding, Sampler(decoding.sampling)
        self._check(prompts)
        self._rngs = [PerItemRng(prompt.seed) for prompt in prompts]
        self._first = [prompt.first_position for prompt in prompts]
        self.streams = [
            self._speech.stream(min_frames=prompt.min_frames, max_frames=prompt.max_frames)
            for prompt in prompts
        ]
        items = [prompt.embeds for prompt in prompts]
        if self._sampler.guided:
            items += [cast(Tensor, prompt.without_text) for prompt in prompts]
        embeds, lengths = pad_left(items)
        self._model, plan = open_step_model(
            network,
            rows=len(items),
            precision=decoding.precision,
            draft=decoding.draft and len(prompts) == 1,
            every_output=decoding.any_id,
        )
        self._gate = DraftGate(plan)
        steps = max(prompt.max_frames for prompt in prompts) + max(self._speech.delays) + 1
        self._step = 0
        self._history: Tensor | None = None
        if self._sampler.needs_history:  # the start counts as spoken, as in Chatterbox's released sampler
            self._history = self._speech.start()[:1].T.repeat(len(prompts), 1, steps + 1 + plan.ahead)
        self._logits = self._model.prefill(embeds, lengths, steps=steps)

    def _check(self, prompts: Sequence[Prompt]) -> None:
        room = (
            self._speech.positions.num_embeddings
            - self._decoding.position_skip
            - max(self._speech.delays)
            - 1
        )
        for prompt in prompts:
            most = room - prompt.first_position
            if not 1 <= prompt.max_frames <= most:
                raise AmttsError(f"{prompt.max_frames} frames are out of range; expected 1 to {most}")
        if self._sampler.needs_history and self._speech.num_codebooks > 1:
            raise AmttsError(
                f"model.sampling.repetition_penalty is {self._decoding.sampling.repetition_penalty:g}, and it knows "
                f"one codebook; this network speaks {self._speech.num_codebooks}",
                remedy="Leave it at 1",
            )

    def run(self) -> Iterator[None]:
        """Speaks until all items are over, yielding after each step; once half of them are, they are dropped."""
        alive = list(self.streams)
        while True:
            chosen = self._choose(self._logits, alive, [(rng, self._step) for rng in self._rngs])
            for rng in self._rngs:
                rng.forget(self._step + 1)
            for stream, ids in zip(alive, chosen, strict=True):
                stream.append(self._step, ids)
            self._remember([stream.fed for stream in alive])
            yield
            while self._gate.open() and not alive[0].over:
                begin = self._step
                yield from self._drafted(alive[0])
                self._gate.update(self._step - begin)
            left = [number for number, stream in enumerate(alive) if not stream.over]
            if not left:
                return
            if len(left) <= len(alive) / 2:  # the others would only be computed to be thrown away
                self._keep(left, len(alive))
                alive = [alive[number] for number in left]
            self._step += 1
            self._logits = self._model.step(self._embedded([stream.fed for stream in alive], self._step))

    def _choose(
        self,
        logits: Tensor,
        streams: Sequence[CodeStream],
        noise: Sequence[tuple[PerItemRng, int]],
        guesses: Sequence[list[int]] = (),
    ) -> list[list[int]]:
        """The ids of some rows, K each.

        Args:
            logits: (R, K * V), with guidance those without text behind; they are changed.
            streams: of each row.
            noise: each row's random numbers and its step.
            guesses: ids that stand before all rows but the first, where several steps of one item are checked.
        """
        speech, without_text = self._speech, None
        logits = speech.split(logits)
        if self._sampler.guided:
            logits, without_text = logits.chunk(2)
        if not self._decoding.any_id:
            speech.bar(logits)
        for number, (stream, (_, step)) in enumerate(zip(streams, noise, strict=True)):
            if step < stream.min_frames:
                logits[number, 0, speech.end] = BARRED
        history = None if self._history is None else self._spoken(guesses)
        chosen: list[list[int]] = self._sampler(
            logits, noise, without_text=without_text, history=history
        ).tolist()
        return chosen

    def _spoken(self, guesses: Sequence[list[int]]) -> Tensor:
        """Ids so far of each row (R, 1, T); what is not known yet is the start, which counts as spoken anyway."""
        assert self._history is not None
        end = self._step + 1 + len(guesses)
        history = self._history[:, :, :end]
        if not guesses:
            return history
        history = history.repeat(len(guesses) + 1, 1, 1)
        history[:, 0, self._step + 1 :] = torch.tensor(
            [
                [g[0] if n < row else int(history[0, 0, 0]) for n, g in enumerate(guesses)]
                for row in range(len(history))
            ]
        )
        return history

    def _remember(self, fed: Sequence[list[int]]) -> None:
        if self._history is not None:
            self._history[:, :, self._step + 1] = torch.tensor(fed, device=self._history.device)

    def _embedded(self, fed: Sequence[list[int]], step: int) -> Tensor:
        """The input of a step of each row, (R, D)."""
        ids = torch.tensor(fed, device=self._logits.device)
        step += self._decoding.position_skip
        position = torch.tensor([[first + step] for first in self._first], device=ids.device)
        vectors = self._speech.embed(ids[:, None], position)[:, 0]
        return torch.cat([vectors, vectors]) if self._sampler.guided else vectors

    def _drafted(self, stream: CodeStream) -> Iterator[None]:
        """Guesses some steps and speaks those that the check chooses, and the one after them; yields after each."""
        guesses = self._guesses(stream)
        fed = [stream.fed, *guesses]
        steps = range(self._step + 1, self._step + 1 + len(fed))
        positions = torch.tensor([*steps]) + self._decoding.position_skip + self._first[0]
        vectors = self._speech.embed(torch.tensor([fed]), positions)
        logits = self._model.check(vectors.repeat(self._model.rows, 1, 1)).flatten(0, 1)
        self._step += 1
        chosen = self._choose(logits, [stream] * len(fed), [(self._rngs[0], step) for step in steps], guesses)
        self._step -= 1
        for spoken, (ids, guess) in enumerate(zip(chosen, [*guesses, None], strict=True), start=1):
            self._step += 1
            stream.append(self._step, ids)
            self._remember([stream.fed])
            yield
            if stream.over or stream.fed != guess:
                self._model.rollback(len(chosen) - spoken)
                self._rngs[0].forget(self._step + 1)
                return

    def _guesses(self, stream: CodeStream) -> list[list[int]]:
        """What the stream might be fed next, up to `ahead` steps, in 8 bits."""
        draft, found, begin = stream.copied(), list[list[int]](), self._step
        while len(found) < self._model.ahead and not draft.over:
            self._step += 1
            logits = self._model.step(self._embedded([draft.fed], self._step), draft=True)
            draft.append(self._step, self._choose(logits, [draft], [(self._rngs[0], self._step)])[0])
            self._remember([draft.fed])
            found.append(draft.fed)
        self._step = begin
        self._model.rollback(len(found))
        return found

    def _keep(self, numbers: list[int], count: int) -> None:
        """Goes on with these items only."""
        kept = torch.tensor(numbers, device=self._logits.device)
        self._model.keep(torch.cat([kept, kept + count]) if self._sampler.guided else kept)
        self._rngs = [self._rngs[number] for number in numbers]
        self._first = [self._first[number] for number in numbers]
        if self._history is not None:
            self._history = self._history[kept]


class DraftGate:
    """Disables drafting for a while where too few guesses are accepted.

    Args:
        plan: how many guesses there are, and how many steps a check has to give.
    """

    def __init__(self, plan: DraftPlan) -> None:
        self._plan, self._steps, self._rest = plan, plan.ahead + 1.0, 0

    def open(self) -> bool:
        """Whether the next steps are guessed."""
        self._rest = max(0, self._rest - 1)
        return self._plan.ahead > 0 and not self._rest

    def update(self, steps: int) -> None:
        """Counts how many steps a check gave."""
        self._steps += (steps - self._steps) / PATIENCE
        if self._steps < self._plan.break_even:
            self._steps, self._rest = self._plan.ahead + 1.0, PAUSE
