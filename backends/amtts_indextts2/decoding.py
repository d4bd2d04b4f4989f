"""Codes from a prompt, row by row, with a static cache. Batches of sentences run in lock step.

Prompts of a batch are padded at the front and masked, rows are placed by their own positions, and every item draws
from its own random numbers: a sentence sounds the same alone and in a batch.
B items, P prefix rows, N text tokens, K codebooks, T frames.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amtts_core.errors import AmttsError
from amtts_indextts2.codes import DelayedCodes, SemanticCodes
from amtts_indextts2.decoder import Decoder
from amtts_indextts2.delay import from_grid
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.sampling import BARRED, SamplingConfig, draw, guided


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
    position_skip: bool | None = None,
    bar_start: bool = True,
    dtype: torch.dtype | None = None,
    int8: bool = False,
) -> list[Decoded]:
    """Speaks a batch of prompts.

    Args:
        network: in evaluation mode.
        prompts: at least one.
        sampling: how codes are drawn; None takes the likeliest ones.
        position_skip: codes stand at positions 2, 3, … after the first row, as official code with its cache has it,
            and not at 1, 2, … as in training; None where the network is `as_released`.
        bar_start: never speak the id that stands before the first code (the released code allows it).
        dtype: to compute in, such as bfloat16; None takes the network's own.
        int8: linear layers in 8 bits, on a CPU only.

    Raises:
        AmttsError: a prompt is longer than the network's position tables.
    """
    sampling = sampling or SamplingConfig(temperature=0)
    skip = _skipped(network, position_skip)
    _check_lengths(network, prompts, skip)
    state = _Decoding(network, prompts, sampling, skip, dtype=dtype, int8=int8)
    voices = [_voice(prompt, network) for prompt in prompts]
    for _ in _run(state, voices, bar_start=bar_start):
        pass
    return [voice.decoded() for voice in voices]


@torch.inference_mode()
def stream(
    network: IndexTTS2Gpt,
    prompt: Prompt,
    *,
    every: int,
    sampling: SamplingConfig | None = None,
    position_skip: bool | None = None,
    dtype: torch.dtype | None = None,
    int8: bool = False,
) -> Generator[Tensor, None, bool]:
    """Yields the codes of one prompt as they become whole, at least `every` frames at a time: (T, K) each.

    Joined they are what `decode` gives. The last piece may be shorter. Returns `Decoded.ended`.
    """
    sampling = sampling or SamplingConfig(temperature=0)
    skip = _skipped(network, position_skip)
    _check_lengths(network, [prompt], skip)
    state = _Decoding(network, [prompt], sampling, skip, dtype=dtype, int8=int8)
    voice = _voice(prompt, network)
    given = 0
    for _ in _run(state, [voice], bar_start=True):
        if voice.whole - given >= every:
            yield voice.frames(given, voice.whole)
            given = voice.whole
    if voice.whole > given:
        yield voice.frames(given, voice.whole)
    return voice.decoded().ended


def _skipped(network: IndexTTS2Gpt, asked: bool | None) -> int:
    """Positions left out after the first row."""
    return int(network.as_released if asked is None else asked)


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


class _Stream:
    """The codes of one item of a single stream."""

    def __init__(self, prompt: Prompt, stop: int) -> None:
        self.least, self._limit, self._stop = prompt.min_frames, prompt.max_frames, stop
        self._codes: list[int] = []
        self.over = self._ended = False

    @property
    def whole(self) -> int:
        """Frames that will not change."""
        return len(self._codes)

    def take(self, row: int, ids: Any) -> Any:
        """Takes the id that was chosen for a row and returns what is fed."""
        if not self.over:
            if ids == self._stop:
                self.over = self._ended = True
            else:
                self._codes.append(ids)
                self.over = row + 1 >= self._limit
        return ids

    def frames(self, begin: int, end: int) -> Tensor:
        """(T, 1) of the whole frames from `begin` to `end`."""
        return torch.tensor(self._codes[begin:end], dtype=torch.int64)[:, None]

    def decoded(self) -> Decoded:
        """What was spoken."""
        return Decoded(self.frames(0, self.whole), ended=self._ended)


class _DelayedStream:
    """The rows of one item of delayed codebooks: book 0 ends the speech, then each book says what it says later."""

    def __init__(self, prompt: Prompt, speech: DelayedCodes) -> None:
        self.least, self._limit = prompt.min_frames, prompt.max_frames
        self._delays, self._end = speech.config.all_delays, speech.config.cardinality
        self._rows: list[list[int]] = []
        self._frames = -1
        self.over = self._ended = False

    @property
    def whole(self) -> int:
        """Frames of which every book has spoken."""
        spoken = max(0, len(self._rows) - max(self._delays))
        return min(spoken, self._frames) if self._frames >= 0 else spoken

    def take(self, row: int, ids: Any) -> Any:
        """Takes the K ids that were chosen for a row and returns those fed: padding where a book is not speaking."""
        if self._frames < 0:
            self._ended = ids[0] == self._end
            if self._ended or row >= self._limit:
                self._frames = row
        begun, over = row, self._frames if self._frames >= 0 else row + 1
        fed = [
            code if delay <= begun < over + delay else self._end + 1
            for code, delay in zip(ids, self._delays, strict=True)
        ]
        if self._frames >= 0:
            fed[0] = self._end
        if not self.over:
            self._rows.append(fed)
            self.over = self._frames >= 0 and row + 1 >= self._frames + max(self._delays)
        return fed

    def frames(self, begin: int, end: int) -> Tensor:
        """(T, K) of the whole frames from `begin` to `end`."""
        grid = torch.tensor(self._rows[begin:], dtype=torch.int64).view(-1, len(self._delays))
        return from_grid(grid, self._delays, end - begin)

    def decoded(self) -> Decoded:
        """What was spoken."""
        return Decoded(self.frames(0, self._frames), ended=self._ended)


def _voice(prompt: Prompt, network: IndexTTS2Gpt) -> _Stream | _DelayedStream:
    speech = network.speech
    if isinstance(speech, SemanticCodes):
        return _Stream(prompt, speech.config.stop)
    return _DelayedStream(prompt, speech)


class _Decoding:
    """The network's state while a batch speaks: `choose` the next row, then `feed` what was chosen."""

    def __init__(
        self,
        network: IndexTTS2Gpt,
        prompts: Sequence[Prompt],
        sampling: SamplingConfig,
        skip: int,
        *,
        dtype: torch.dtype | None,
        int8: bool,
    ) -> None:
        self.network, self.sampling, self.skip = network, sampling, skip
        self.guiding = sampling.guidance > 1
        self.generators = [torch.Generator().manual_seed(prompt.seed) for prompt in prompts]
        self.row = 0
        rows = [self._prompt_rows(prompt, prompt.text) for prompt in prompts]
        if self.guiding:
            rows += [self._prompt_rows(prompt, prompt.text[:0]) for prompt in prompts]
        longest = max(len(item) for item in rows)
        delay = max(network.speech.config.all_delays) if isinstance(network.speech, DelayedCodes) else 0
        padded = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
        for number, item in enumerate(rows):
            padded[number, longest - len(item) :] = item
        self.decoder = Decoder(network, dtype=dtype, int8=int8)
        lengths = torch.tensor([len(item) for item in rows])
        most = max(prompt.max_frames for prompt in prompts)
        self.hidden = self.decoder.prefill(padded, lengths, steps=most + delay + 1)

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

    def choose(self, early: list[bool], *, bar_start: bool) -> Tensor:
        """Ids (B,) or (B, K) of the next row; the end of an item that is `early` is not chosen."""
        speech, logits = self.network.speech, self.decoder.logits(self.hidden)
        logits, without_text = logits.chunk(2) if self.guiding else (logits, None)
        if isinstance(speech, SemanticCodes):
            ends = logits[:, speech.config.stop]
            if bar_start:
                logits[:, speech.config.start] = BARRED
        else:
            books = speech.config.num_codebooks
            logits = logits.unflatten(-1, (books, -1))
            without_text = None if without_text is None else without_text.unflatten(-1, (books, -1))
            logits[:, 1:, speech.config.cardinality] = BARRED
            ends = logits[:, 0, speech.config.cardinality]
        for number, held in enumerate(early):
            if held:
                ends[number] = BARRED
        if without_text is not None:
            logits = guided(logits, without_text, self.sampling)
        return draw(logits, self.sampling, self.generators)

    def feed(self, ids: Tensor) -> None:
        """Takes the chosen row (B,) or (B, K) as input of the next one."""
        self.row += 1
        speech = self.network.speech
        rows = speech.rows(ids[:, None], torch.tensor([self.row + self.skip], device=ids.device))[:, 0]
        self.hidden = self.decoder.step(torch.cat([rows, rows]) if self.guiding else rows)

    def keep(self, numbers: list[int]) -> None:
        """Goes on with these items only."""
        kept = torch.tensor(numbers, device=self.hidden.device)
        both = torch.cat([kept, kept + len(self.generators)]) if self.guiding else kept
        self.generators = [self.generators[number] for number in numbers]
        self.decoder.keep(both)
        self.hidden = self.hidden[both]


def _run(state: _Decoding, voices: Sequence[_Stream | _DelayedStream], *, bar_start: bool) -> Iterator[None]:
    """Speaks until all are over, yielding after each row; once half of the items are, they are dropped."""
    alive = list(voices)
    while True:
        chosen = state.choose([state.row < voice.least for voice in alive], bar_start=bar_start)
        fed = [voice.take(state.row, ids) for voice, ids in zip(alive, chosen.tolist(), strict=True)]
        yield
        left = [number for number, voice in enumerate(alive) if not voice.over]
        if not left:
            return
        if len(left) <= len(alive) / 2:
            state.keep(left)
            alive, fed = [alive[number] for number in left], [fed[number] for number in left]
        state.feed(torch.tensor(fed, device=chosen.device))
