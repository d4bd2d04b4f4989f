"""Codes from a prompt, row by row, with a static cache. Batches of sentences run in lock step.

Prompts of a batch are padded at the front and masked, rows are placed by their own positions, and every item draws
from its own random numbers: a sentence sounds the same alone and in a batch.

One sentence in float32 on a CPU waits for the weights, which come from memory once a row. There the network's own
copy in 8 bits guesses a few rows ahead, and one pass of the exact weights checks them all (Leviathan et al. 2023,
"Fast inference from transformers via speculative decoding"). Guess and check draw with the same random numbers, and
only a row that the check chooses too is kept, so what is spoken is what the exact weights say.
B items, P prefix rows, N text tokens, K codebooks, T frames, R rows that are chosen at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from amtts_core.errors import AmttsError
from amtts_indextts2.codes import DelayedCodes, SemanticCodes
from amtts_indextts2.decoder import Decoder
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.sampling import BARRED, Noise, SamplingConfig, draw, guided
from amtts_indextts2.streams import Decoded, Prompt, Voice, voice_of

AHEAD = 2
"""Rows guessed before a check: three rows together take hardly longer than one, four take half as long again."""
DRAFT_FROM = 20_000_000
"""Weights of the trunk from which guessing pays; fewer stay in the processor's cache, where 8 bits gain nothing."""
HOPELESS, PATIENCE, PAUSE = 1.9, 16, 48
"""With fewer rows than this from a check, over about so many checks, guessing rests for so many rows."""


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
    draft: bool = False,
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
        draft: guess a single prompt's rows in 8 bits and check them together. Codes are the same but where two are
            as good as equal: several rows at once are rounded otherwise than one. Without effect for several
            prompts, with guidance (four rows together take longer), in other numbers than float32, and elsewhere
            than on a CPU.

    Raises:
        AmttsError: a prompt is longer than the network's position tables.
    """
    sampling = sampling or SamplingConfig(temperature=0)
    skip = _skipped(network, position_skip)
    _check_lengths(network, prompts, skip)
    state = _Decoding(
        network, prompts, sampling, skip, bar_start=bar_start, dtype=dtype, int8=int8, draft=draft
    )
    voices = [voice_of(prompt, network) for prompt in prompts]
    for _ in _run(state, voices):
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
    draft: bool = False,
) -> Generator[Tensor, None, bool]:
    """Yields the codes of one prompt as they become whole, at least `every` frames at a time: (T, K) each.

    Joined they are what `decode` gives. The last piece may be shorter. Returns `Decoded.ended`.
    """
    sampling = sampling or SamplingConfig(temperature=0)
    skip = _skipped(network, position_skip)
    _check_lengths(network, [prompt], skip)
    state = _Decoding(network, [prompt], sampling, skip, bar_start=True, dtype=dtype, int8=int8, draft=draft)
    voice = voice_of(prompt, network)
    given = 0
    for _ in _run(state, [voice]):
        if voice.whole - given >= every:
            yield voice.frames(given, voice.whole)
            given = voice.whole
    if voice.whole > given:
        yield voice.frames(given, voice.whole)
    return voice.decoded().ended


def _skipped(network: IndexTTS2Gpt, asked: bool | None) -> int:
    """Positions left out after the first row."""
    return int(network.as_released if asked is None else asked)


def drafting_pays(network: IndexTTS2Gpt) -> bool:
    """Whether `draft` makes this network faster."""
    return sum(weight.numel() for weight in network.trunk.parameters()) >= DRAFT_FROM


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
    """The network's state while a batch speaks: `choose` the next row, then `feed` what was chosen."""

    def __init__(
        self,
        network: IndexTTS2Gpt,
        prompts: Sequence[Prompt],
        sampling: SamplingConfig,
        skip: int,
        *,
        bar_start: bool,
        dtype: torch.dtype | None,
        int8: bool,
        draft: bool,
    ) -> None:
        self.network, self.sampling, self.skip, self.bar_start = network, sampling, skip, bar_start
        self.guiding = sampling.guidance > 1
        self.noise = [Noise(prompt.seed) for prompt in prompts]
        self.row = 0
        rows = [self._prompt_rows(prompt, prompt.text) for prompt in prompts]
        if self.guiding:
            rows += [self._prompt_rows(prompt, prompt.text[:0]) for prompt in prompts]
        longest = max(len(item) for item in rows)
        delay = max(network.speech.config.all_delays) if isinstance(network.speech, DelayedCodes) else 0
        padded = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
        for number, item in enumerate(rows):
            padded[number, longest - len(item) :] = item
        exact = not int8 and padded.device.type == "cpu" and (dtype or padded.dtype) == torch.float32
        self.ahead = AHEAD if draft and exact and len(prompts) == 1 and not self.guiding else 0
        self.decoder = Decoder(network, dtype=dtype, int8=int8, ahead=self.ahead)
        lengths = torch.tensor([len(item) for item in rows])
        most = max(prompt.max_frames for prompt in prompts)
        self.logits = self.decoder.prefill(padded, lengths, steps=most + delay + 1)

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

    def choose(self, logits: Tensor, least: Sequence[int], noise: Sequence[tuple[Noise, int]]) -> list[Any]:
        """Ids of R rows, an int or K of them each.

        Args:
            logits: (R, E), or (2 R, E) with those without text behind; they are changed.
            least: rows before each one's end may be chosen.
            noise: each one's random numbers and its row.
        """
        speech = self.network.speech
        logits, without_text = logits.chunk(2) if self.guiding else (logits, None)
        if isinstance(speech, SemanticCodes):
            ends = logits[:, speech.config.stop]
            if self.bar_start:
                logits[:, speech.config.start] = BARRED
        else:
            books = speech.config.num_codebooks
            logits = logits.unflatten(-1, (books, -1))
            without_text = None if without_text is None else without_text.unflatten(-1, (books, -1))
            logits[:, 1:, speech.config.cardinality] = BARRED
            ends = logits[:, 0, speech.config.cardinality]
        for number, (shortest, (_, row)) in enumerate(zip(least, noise, strict=True)):
            if row < shortest:
                ends[number] = BARRED
        if without_text is not None:
            logits = guided(logits, without_text, self.sampling)
        chosen: list[Any] = draw(logits, self.sampling, noise).tolist()
        return chosen

    def next(self, voices: Sequence[Voice]) -> list[Any]:
        """What each item says in this row."""
        noise = [(item, self.row) for item in self.noise]
        chosen = self.choose(self.logits, [voice.least for voice in voices], noise)
        for item in self.noise:
            item.forget(self.row + 1)
        return chosen

    def feed(self, fed: Sequence[Any]) -> None:
        """Takes what each item said, B ints or lists of K, as input of the next row."""
        self.row += 1
        self.logits = self.decoder.step(self._inputs(fed, self.row))

    def _inputs(self, fed: Sequence[Any], row: int) -> Tensor:
        """The input of `row` of each item, (B, D), where guided (2 B, D)."""
        ids = torch.tensor(fed, device=self.logits.device)
        place = torch.tensor([row + self.skip], device=ids.device)
        rows = self.network.speech.rows(ids[:, None], place)[:, 0]
        return torch.cat([rows, rows]) if self.guiding else rows

    def guesses(self, voice: Voice) -> list[Any]:
        """What the voice might be fed next, up to `ahead` rows, in 8 bits."""
        twin: Voice = voice.twin()
        found: list[Any] = []
        while len(found) < self.ahead and not twin.over:
            at = self.row + 1 + len(found)
            logits = self.decoder.step(self._inputs([twin.fed], at), draft=True)
            twin.take(at, self.choose(logits, [twin.least], [(self.noise[0], at)])[0])
            found.append(twin.fed)
        self.decoder.back(len(found))
        return found

    def check(self, fed: Sequence[Any], voice: Voice) -> list[Any]:
        """What the exact weights choose after each of `fed`: what the voice said last, and the guesses behind it."""
        rows = range(self.row + 1, self.row + 1 + len(fed))
        inputs = self.network.speech.rows(torch.tensor([*fed])[None], torch.tensor([*rows]) + self.skip)
        noise = [(self.noise[0], row) for row in rows]
        return self.choose(self.decoder.check(inputs)[0], [voice.least] * len(fed), noise)

    def go_back(self, rows: int) -> None:
        """Forgets the last `rows` rows that were checked."""
        self.decoder.back(rows)
        self.noise[0].forget(self.row + 1)

    def keep(self, numbers: list[int]) -> None:
        """Goes on with these items only."""
        kept = torch.tensor(numbers, device=self.logits.device)
        both = torch.cat([kept, kept + len(self.noise)]) if self.guiding else kept
        self.noise = [self.noise[number] for number in numbers]
        self.decoder.keep(both)


def _run(state: _Decoding, voices: Sequence[Voice]) -> Iterator[None]:
    """Speaks until all are over, yielding after each row; once half of the items are, they are dropped."""
    alive = list(voices)
    hope = _Hope(state.ahead)
    while True:
        for voice, ids in zip(alive, state.next(alive), strict=True):
            voice.take(state.row, ids)
        yield
        while hope.guess() and not alive[0].over:
            begin = state.row
            yield from _checked(state, alive[0])
            hope.came(state.row - begin)
        left = [number for number, voice in enumerate(alive) if not voice.over]
        if not left:
            return
        if len(left) <= len(alive) / 2:
            state.keep(left)
            alive = [alive[number] for number in left]
        state.feed([voice.fed for voice in alive])


def _checked(state: _Decoding, voice: Voice) -> Iterator[None]:
    """Guesses some rows and speaks those that the check chooses, and the one after them; yields after each."""
    guesses = state.guesses(voice)
    chosen = state.check([voice.fed, *guesses], voice)
    for spoken, (ids, guess) in enumerate(zip(chosen, [*guesses, None], strict=True), start=1):
        state.row += 1
        voice.take(state.row, ids)
        yield
        if voice.over or voice.fed != guess:
            state.go_back(len(chosen) - spoken)
            return


class _Hope:
    """Whether guessing pays: it rests for a while where too few guesses come true."""

    def __init__(self, ahead: int) -> None:
        self._ahead, self._rows, self._rest = ahead, ahead + 1.0, 0

    def guess(self) -> bool:
        """Whether the next rows are guessed."""
        self._rest = max(0, self._rest - 1)
        return self._ahead > 0 and not self._rest

    def came(self, rows: int) -> None:
        """So many rows came from a check."""
        self._rows += (rows - self._rows) / PATIENCE
        if self._rows < HOPELESS:
            self._rows, self._rest = float(self._ahead + 1), PAUSE
