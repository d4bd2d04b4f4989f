"""Speaks batches of texts: conditioning, text and start tokens in, speech codes out.

Knows token ids and voices. With guidance each utterance has a second row without its text, in the same batch; at
weight 0 there is none. B utterances, R rows (B or 2B).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from amtts_chatterbox.t3.config import SamplingConfig
from amtts_chatterbox.t3.decoder import Decoder
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.packing import Lengths, Widths, plan_packing
from amtts_chatterbox.t3.sampling import choose, draws, guide
from amtts_core.errors import AmttsError


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Who speaks and how.

    Attributes:
        speaker: (speaker_size,) float32.
        prompt: speech codes of the speaker, at most `prompt_tokens`; empty speaks without.
        emotion: exaggeration.
    """

    speaker: Tensor
    prompt: Sequence[int] = ()
    emotion: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """A text to speak: token ids from start to stop, a voice, and the seed of its draws."""

    text: Sequence[int]
    voice: Voice
    seed: int = 0


@dataclass(frozen=True)
class Spoken:
    """What came out.

    Attributes:
        codes: speech codes without start and end.
        ended: the end token was drawn (otherwise the length limit stopped it).
        tries: how often it was drawn.
    """

    codes: list[int]
    ended: bool
    tries: int = 1


@dataclass
class _Stream:
    """Tokens of one utterance on their way."""

    tokens: list[int] = field(default_factory=list)
    ended: bool = False


@torch.inference_mode()
def speak(
    network: T3,
    utterances: Sequence[Utterance],
    *,
    sampling: SamplingConfig | None = None,
    dtype: torch.dtype | None = None,
) -> list[Spoken]:
    """Speaks utterances as one batch; those of implausible length are drawn again with other seeds.

    Plausible is an end within `least_per_symbol` to `most_per_symbol` speech tokens for each text token between start
    and stop. After `retries` the try nearest to that stands.

    Args:
        network: the network.
        utterances: at least one.
        sampling: None takes the network's own.
        dtype: to compute in, such as bfloat16; None takes the network's own.
    """
    config = sampling or network.config.sampling
    best: dict[int, Spoken] = {}
    waiting = list(range(len(utterances)))
    for attempt in range(config.retries + 1):
        tries = [
            dataclasses.replace(utterances[n], seed=utterances[n].seed + 1_000_003 * attempt) for n in waiting
        ]
        for number, spoken in zip(waiting, _once(network, tries, config, dtype), strict=True):
            spoken = dataclasses.replace(spoken, tries=attempt + 1)
            symbols = len(utterances[number].text) - 2
            if number not in best or _fault(spoken, symbols, config) < _fault(best[number], symbols, config):
                best[number] = spoken
        waiting = [n for n in waiting if _fault(best[n], len(utterances[n].text) - 2, config) > 0]
        if not waiting or config.temperature == 0:  # the likeliest tokens would only come again
            break
    return [best[number] for number in range(len(utterances))]


def _fault(spoken: Spoken, symbols: int, config: SamplingConfig) -> float:
    """0 for a plausible length, else how far it is off, in speech tokens."""
    short = math.ceil(config.least_per_symbol * symbols) - len(spoken.codes)
    return max(0.0, float(short), 0.0 if spoken.ended else 0.5)


def _once(
    network: T3, utterances: Sequence[Utterance], config: SamplingConfig, dtype: torch.dtype | None
) -> list[Spoken]:
    limits = [min(config.max_tokens, math.ceil(config.most_per_symbol * len(u.text))) for u in utterances]
    streams = [_Stream() for _ in utterances]
    for tokens in token_steps(network, utterances, sampling=config, steps=max(limits), dtype=dtype):
        _advance(streams, tokens, limits, network.config.stop_speech)
        if all(
            stream.ended or len(stream.tokens) >= limit for stream, limit in zip(streams, limits, strict=True)
        ):
            break
    codes = network.config.speech_codes
    return [Spoken([t for t in stream.tokens if t < codes], stream.ended) for stream in streams]


def _advance(streams: list[_Stream], tokens: list[list[int]], limits: list[int], stop: int) -> None:
    for stream, drawn, limit in zip(streams, tokens, limits, strict=True):
        for token in drawn:
            if stream.ended or len(stream.tokens) >= limit:
                break
            stream.ended = token == stop
            if not stream.ended:
                stream.tokens.append(token)


@torch.inference_mode()
def token_steps(
    network: T3,
    utterances: Sequence[Utterance],
    *,
    sampling: SamplingConfig,
    steps: int,
    dtype: torch.dtype | None = None,
    start_tokens: int = 0,
    greedy: bool = False,
    chunk: int = 0,
) -> Iterator[list[list[int]]]:
    """Yields the next tokens of every utterance until each has drawn its end.

    Tokens after an utterance's end mean nothing; once half of the rows have ended they are dropped and their
    utterances get empty lists.

    Args:
        network: the network.
        utterances: a batch.
        sampling: how to draw; its length limits are the caller's to keep.
        steps: tokens at most.
        dtype: to compute in.
        start_tokens: starts before speech; 0 takes the network's own.
        greedy: take the likeliest token after guidance and penalty.
        chunk: tokens handed over at a time; 0 takes 1 on a CPU and 8 elsewhere, where looking costs a wait.
    """
    network.eval()
    config = network.config
    check_utterances(network, utterances)
    steps = min(steps, config.speech_positions - 1)
    device = network.speech_head.weight.device
    chunk = chunk or (1 if device.type == "cpu" else 8)
    last = max(config.start_speech, config.stop_speech) if sampling.only_codes else config.speech_rows - 1
    decoder = Decoder(network, dtype=dtype, head_rows=last + 1)
    guided = sampling.cfg_weight > 0
    rows, lengths = _prefix(network, utterances, guided=guided, starts=start_tokens or config.start_tokens)
    logits = decoder.prefill(rows, lengths, steps=steps)
    speech_table, place_table = network.speech_embedding.weight, network.speech_positions.weight
    barred = _barred(network, last + 1) if sampling.only_codes else None
    uniform = None if greedy else draws([u.seed for u in utterances], steps).to(device)
    history = torch.full((len(utterances), steps + 1), config.start_speech, device=device)
    alive, ended = list(range(len(utterances))), set[int]()
    shown = 0
    for step in range(steps):
        scores = guide(logits, sampling.cfg_weight) if guided else logits
        if barred is not None:
            scores = scores + barred
        drawn = None if uniform is None else uniform[:, step]
        tokens = choose(scores, history[:, : step + 1], drawn, sampling)
        history[:, step + 1] = tokens
        if step + 1 - shown >= chunk or step + 1 == steps:
            fresh = history[:, shown + 1 : step + 2].tolist()
            shown = step + 1
            given: list[list[int]] = [[] for _ in utterances]
            for number, row in zip(alive, fresh, strict=True):
                given[number] = row
            yield given
            ended |= {number for number, row in zip(alive, fresh, strict=True) if config.stop_speech in row}
            left = [index for index, number in enumerate(alive) if number not in ended]
            if step + 1 == steps or not left:
                return
            if len(left) <= len(alive) / 2:  # the others would only be computed to be thrown away
                kept = torch.tensor(left, device=device)
                decoder.keep(torch.cat([kept, kept + len(alive)]) if guided else kept)
                alive, tokens, history = [alive[index] for index in left], tokens[kept], history[kept]
                uniform = None if uniform is None else uniform[kept]
        vectors = speech_table[tokens] + place_table[step + 1]
        logits = decoder.step(torch.cat([vectors, vectors]) if guided else vectors)


@torch.inference_mode()
def stream(
    network: T3,
    utterance: Utterance,
    *,
    every: int,
    sampling: SamplingConfig | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[list[int]]:
    """Yields speech codes of one utterance, `every` at a time and the rest at the end; `speak`'s first try.

    Nothing is drawn again: what was handed over has been heard.
    """
    config = sampling or network.config.sampling
    limit = min(config.max_tokens, math.ceil(config.most_per_symbol * len(utterance.text)))
    steps = token_steps(network, [utterance], sampling=config, steps=limit, dtype=dtype, chunk=every)
    for (tokens,) in steps:
        ended = network.config.stop_speech in tokens
        heard = tokens[: tokens.index(network.config.stop_speech)] if ended else tokens
        codes = [token for token in heard if token < network.config.speech_codes]
        if codes:
            yield codes
        if ended:
            return


def _barred(network: T3, rows: int) -> Tensor:
    """0 for codes and the end, minus infinity for the start and unused ids, (rows,)."""
    config = network.config
    allowed = torch.full((rows,), -torch.inf, device=network.speech_head.weight.device)
    allowed[: config.speech_codes] = 0
    allowed[config.stop_speech] = 0
    return allowed


def _prefix(
    network: T3, utterances: Sequence[Utterance], *, guided: bool, starts: int
) -> tuple[Tensor, Tensor]:
    """Vectors before the first code (R, L, D), each row at its end, and their number (R,)."""
    device = network.speech_head.weight.device
    text = _padded([u.text for u in utterances]).to(device)
    prompt = _padded([u.voice.prompt for u in utterances]).to(device)
    heard = torch.tensor([len(u.voice.prompt) for u in utterances], device=device)
    conditioning = network.embed_conditioning(
        torch.stack([u.voice.speaker for u in utterances]).to(network.conditioning.speaker.weight),
        torch.tensor([u.voice.emotion for u in utterances]).to(network.conditioning.emotion.weight),
        prompt,
        heard,
    )
    start = torch.full((len(utterances), starts), network.config.start_speech, device=device)
    speech = network.embed_speech(start, start_tokens=starts)
    embedded = network.embed_text(text)
    lengths = [Lengths(len(u.voice.prompt) > 0, len(u.text), starts) for u in utterances]
    if guided:
        silent = network.embed_text(text, torch.zeros(len(text), dtype=torch.bool, device=device))
        conditioning, speech = conditioning.repeat(2, 1, 1), speech.repeat(2, 1, 1)
        embedded, lengths = torch.cat([embedded, silent]), lengths * 2
    widths = Widths(conditioning.shape[1], text.shape[1], starts)
    packing = plan_packing(lengths, widths, device=device)
    rows = packing.gather(conditioning, embedded, speech)
    ends = torch.tensor([place.speech + starts for place in packing.places], device=device)
    if int(ends.min()) < rows.shape[1]:  # move every row to its end
        columns = torch.arange(rows.shape[1], device=device) - (rows.shape[1] - ends)[:, None]
        moved = rows.gather(1, columns.clamp(min=0)[..., None].expand_as(rows))
        rows = moved * (columns >= 0)[..., None]
    return rows, ends


def _padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    longest = max(len(sequence) for sequence in sequences)
    return torch.tensor([[*s, *[0] * (longest - len(s))] for s in sequences], dtype=torch.long)


def check_utterances(network: T3, utterances: Sequence[Utterance]) -> None:
    """Refuses what the tables have no row for.

    Raises:
        AmttsError: names the length or id and the limit.
    """
    config = network.config
    symbols = len(network.text_embedding.weight)
    for utterance in utterances:
        if not 2 <= len(utterance.text) <= config.text_positions:
            raise AmttsError(
                f"a text of {len(utterance.text)} tokens; this network reads 2 to {config.text_positions}",
                remedy="Split it into sentences",
            )
        if not 0 <= min(utterance.text) <= max(utterance.text) < symbols:
            raise AmttsError(f"a text token is not one of the network's {symbols}")
        prompt = utterance.voice.prompt
        if len(prompt) > config.prompt_tokens:
            raise AmttsError(f"a prompt of {len(prompt)} tokens; the longest is {config.prompt_tokens}")
        if prompt and not 0 <= min(prompt) <= max(prompt) < config.speech_rows:
            raise AmttsError(f"a prompt token is not one of the network's {config.speech_rows}")
        if tuple(utterance.voice.speaker.shape) != (config.speaker_size,):
            raise AmttsError(
                f"a speaker vector of shape {list(utterance.voice.speaker.shape)}, "
                f"expected [{config.speaker_size}]"
            )
