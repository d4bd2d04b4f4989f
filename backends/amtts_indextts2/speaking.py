"""Requests to sound: how long each should last, its codes, their waveform, and another try where one went wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from amtts_core.codec.streaming import decode_pieces, frames_of_piece
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError
from amtts_indextts2.codec import NAME
from amtts_indextts2.config import IndexTTS2Config
from amtts_indextts2.decoding import decode, drafting_pays, stream
from amtts_indextts2.guards import Heard, Take
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.streams import Prompt
from amtts_indextts2.voices import heard_voice

logger = logging.getLogger(__name__)
FREE, FIXED = (0.75, 1.3), (0.93, 1.07)
"""Speech does not end before, and is ended after, this many times the frames it should last: where they are estimated
from the text, and where a speed fixes them."""
RETRIES = 2
"""Further seeds tried for a sentence that did not end by itself or fell silent, see `guards`."""


@dataclass(frozen=True)
class Speaking:
    """A trained network with the codec that it has learnt.

    Attributes:
        network: in evaluation mode.
        config: how it speaks.
        codec: where the network is.
    """

    network: IndexTTS2Gpt
    config: IndexTTS2Config
    codec: SpeechCodec

    @torch.inference_mode()
    def speak(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request; how long each should last follows from its text and its speed."""
        prompts = [self._prompt(request) for request in requests]
        hurried = [number for number, request in enumerate(requests) if request.speed != 1]
        if hurried:  # a speed divides the length that the sentence has at its own pace
            own = self._takes([prompts[number] for number in hurried])
            for number, take in zip(hurried, own, strict=True):
                wanted = max(1, round(len(take.spoken.codes) / requests[number].speed))
                prompts[number] = self._prompt(requests[number], wanted=wanted)
        return [take.wave for take in self._takes(prompts)]

    @torch.inference_mode()
    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """The samples of `synthesize`'s first try, as the codec gets whole frames; see `Streams`."""
        if request.speed != 1:  # the sentence's own length has to be known first
            yield from self.speak([request])
            return
        prompt, every = self._prompt(request), frames_of_piece(self.codec)
        heard = Heard(self.codec.sample_rate)
        spoken = stream(self.network, prompt, every=every, **self._decoding())
        yield from heard.sound(decode_pieces(self.codec, heard.codes(spoken)))
        if fault := heard.take().fault:
            logger.warning("speech of %d tokens %s; what is streamed is not retried", len(prompt.text), fault)

    def _prompt(self, request: SynthesisRequest, *, wanted: int = 0) -> Prompt:
        """A request with its length in frames: `wanted` closely, or about what its text usually lasts."""
        device = next(self.network.parameters()).device
        speaker = torch.tensor([request.speaker], device=device)
        if not request.tokens:
            raise AmttsError("there is no token to speak")
        shortest, longest = FIXED if wanted else FREE
        wanted = wanted or round(self.network.pace.frames(len(request.tokens)))
        if not wanted:
            raise AmttsError(
                f"this '{NAME}' network was never trained and does not know how long speech lasts"
            )
        wanted = min(wanted, self.config.most_frames)
        if self.config.voice_clip:
            latents = heard_voice(self.network, self.config)
        else:
            latents = self.network.latents_of(speaker)
        return Prompt(
            prefix=self.network.prefix(latents, wanted=torch.tensor([wanted], device=device))[0],
            text=torch.tensor(list(request.tokens), device=device),
            max_frames=min(math.ceil(longest * wanted), self.config.most_frames),
            min_frames=max(1, math.floor(shortest * wanted)),
            seed=request.seed,
        )

    def _decoding(self) -> dict[str, Any]:
        """How the settings want codes to be decoded."""
        config = self.config
        return {
            "sampling": config.sampling,
            "position_skip": config.position_skip,
            "int8": config.int8 and next(self.network.parameters()).device.type == "cpu",
            "dtype": torch.bfloat16 if config.bf16 else None,
            "draft": config.draft and drafting_pays(self.network),
        }

    def _takes(self, prompts: Sequence[Prompt]) -> list[Take]:
        """The best take of each prompt; what ran on or fell silent is tried with other seeds, and told."""
        best: dict[int, Take] = {}
        waiting = list(range(len(prompts)))
        for attempt in range(RETRIES + 1):
            again = [replace(prompts[n], seed=prompts[n].seed + 7919 * attempt) for n in waiting]
            for number, spoken in zip(waiting, decode(self.network, again, **self._decoding()), strict=True):
                wave = self.codec.decode(spoken.codes.T[None])[0].clamp(-1, 1).float().cpu().numpy()
                take = Take(spoken, wave, self.codec.sample_rate)
                if number not in best or take.badness < best[number].badness:
                    best[number] = take
                if attempt and not take.fault:
                    logger.warning(
                        "speech of %d tokens came right at try %d", len(prompts[number].text), attempt + 1
                    )
            waiting = [number for number in waiting if best[number].fault]
            if not waiting or self.config.sampling.temperature == 0:  # the likeliest codes come again
                break
        for number in waiting:
            logger.warning("speech of %d tokens %s", len(prompts[number].text), best[number].fault)
        return [best[number] for number in range(len(prompts))]
