"""Prompts of T3: conditioning, text and start tokens, which the shared runtime speaks from.

With guidance each utterance has a second prompt whose text embeddings are zero, as published. B utterances, L vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from amtts_chatterbox.t3.config import T3SamplingConfig
from amtts_chatterbox.t3.network import T3
from amtts_core.errors import AmttsError
from amtts_core.speech_lm.generate import Prompt
from amtts_core.speech_lm.length_model import LengthModel

LENGTH_SLACK = 1.1
"""How far speech may leave the codes per token that training saw, as a factor both ways."""


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


def bounded(sampling: T3SamplingConfig, lengths: LengthModel | None) -> T3SamplingConfig:
    """The settings, with the bounds of the length drawn in to what training saw, and a little beyond."""
    seen = None if lengths is None else lengths.bounds(slack=LENGTH_SLACK)
    if seen is None:
        return sampling
    least, most = max(sampling.least_per_symbol, seen[0]), min(sampling.most_per_symbol, seen[1])
    return sampling.model_copy(update={"least_per_symbol": least, "most_per_symbol": most})


@torch.inference_mode()
def prompts_of(
    network: T3, utterances: Sequence[Utterance], sampling: T3SamplingConfig, *, max_frames: int = 0
) -> list[Prompt]:
    """A prompt of each utterance.

    Args:
        network: in evaluation mode.
        utterances: at least one.
        sampling: whether there is guidance, and the bounds of the length.
        max_frames: the longest speech; 0 takes the bounds'.

    Raises:
        AmttsError: an id or a length that the network's tables have no row for.
    """
    check_utterances(network, utterances)
    device, room = network.speech.head.weight.device, network.config.speech_positions - 1

    def padded(sequences: Sequence[Sequence[int]]) -> Tensor:
        rows = [torch.tensor(list(sequence), dtype=torch.long) for sequence in sequences]
        return pad_sequence(rows, batch_first=True).to(device)

    conditioning = network.embed_conditioning(
        torch.stack([u.voice.speaker for u in utterances]).to(network.conditioning.speaker.weight),
        torch.tensor([u.voice.emotion for u in utterances]).to(network.conditioning.emotion.weight),
        padded([u.voice.prompt for u in utterances]),
        torch.tensor([len(u.voice.prompt) for u in utterances], device=device),
    )
    text = padded([u.text for u in utterances])
    none = torch.zeros(len(text), dtype=torch.bool, device=device)
    embedded, silent = network.embed_text(text), network.embed_text(text, none)
    start = network.speech.embed(network.speech.start()[None])[0]
    prompts = []
    for number, utterance in enumerate(utterances):
        own, letters = conditioning[number], len(utterance.text)
        own = own if utterance.voice.prompt else own[[0, -1]]  # without a prompt speaker and emotion remain
        versions = [torch.cat([own, part[number, :letters], start]) for part in (embedded, silent)]
        limit = max_frames or min(sampling.max_tokens, math.ceil(sampling.most_per_symbol * letters))
        prompts.append(
            Prompt(
                embeds=versions[0],
                without_text=versions[1] if sampling.guidance_scale > 1 else None,
                max_frames=min(limit, room),
                shortest=math.ceil(sampling.least_per_symbol * (letters - 2)),
                seed=utterance.seed,
            )
        )
    return prompts


def check_utterances(network: T3, utterances: Sequence[Utterance]) -> None:
    """Refuses what the tables have no row for.

    Raises:
        AmttsError: names the length or id and the limit.
    """
    config = network.config
    symbols = len(network.text.embedding.weight)
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
