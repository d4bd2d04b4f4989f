"""Prompts of IndexTTS2: the voice's prefix with a wanted length, the text, and the start of the codes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from amtts_core.errors import AmttsError
from amtts_core.speech_lm.generate import Prompt
from amtts_indextts2.network import IndexTTS2Gpt

FREE, FIXED = (0.75, 1.3), (0.93, 1.07)
"""Speech does not end before, and is ended after, this many times the frames it should last: where they are estimated
from the text, and where a speed fixes them."""


@torch.inference_mode()
def prompt_of(
    network: IndexTTS2Gpt,
    prefix: Tensor,
    text: Sequence[int],
    *,
    max_frames: int,
    min_frames: int = 1,
    seed: int = 0,
) -> Prompt:
    """A prompt.

    Args:
        network: in evaluation mode.
        prefix: (P, D), see `IndexTTS2Gpt.prefix`.
        text: ids from start to stop.
        max_frames, min_frames, seed: as in `Prompt`.

    Raises:
        AmttsError: the text is longer than the network's position table.
    """
    if len(text) - 2 > network.config.max_text_tokens:
        raise AmttsError(
            f"a text of {len(text) - 2} tokens is longer than the network's {network.config.max_text_tokens}",
            remedy="Cut it into shorter sentences",
        )
    ids = torch.tensor(list(text), device=prefix.device)
    start = network.speech.embed(network.speech.start()[None])[0]
    embeds, without_text = (
        torch.cat([prefix, network.text.embed(part[None])[0], start]) for part in (ids, ids[[0, -1]])
    )
    return Prompt(
        embeds=embeds, without_text=without_text, max_frames=max_frames, min_frames=min_frames, seed=seed
    )


def prompt_of_length(
    network: IndexTTS2Gpt, latents: Tensor, text: Sequence[int], *, frames: int = 0, seed: int = 0
) -> Prompt:
    """A prompt that asks for a length.

    Args:
        network: in evaluation mode.
        latents: (1, latents, D), emotion included.
        text: ids from start to stop.
        frames: that the speech should last, closely; 0 takes about what the text usually lasts.
        seed: of its draws.

    Raises:
        AmttsError: it was never trained, or see `prompt_of`.
    """
    most = network.config.most_frames
    shortest, longest = FIXED if frames else FREE
    wanted = frames or round(network.length_model.predict(len(text)))
    if not wanted:
        raise AmttsError("this network was never trained and does not know how long speech lasts")
    wanted = min(wanted, most)
    return prompt_of(
        network,
        network.prefix(latents, wanted=torch.tensor([wanted], device=latents.device))[0],
        text,
        max_frames=min(math.ceil(longest * wanted), most),
        min_frames=max(1, math.floor(shortest * wanted)),
        seed=seed,
    )
