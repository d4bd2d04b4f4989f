"""Requests to waveforms: prompts, codes, a codec's waveforms, and further attempts where one went wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from amtts_core.audio.io import resample
from amtts_core.audio.stretch import stretch
from amtts_core.codec.streaming import decode_pieces, frames_of_piece
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.types import SynthesisRequest
from amtts_core.speech_lm.best_of import best_of
from amtts_core.speech_lm.generate import Decoding, Prompt, generate, generate_stream
from amtts_core.speech_lm.guards import Attempt, StreamRecorder
from amtts_core.units import Hertz

logger = logging.getLogger(__name__)
MakePrompts = Callable[[Sequence[SynthesisRequest], Sequence[int]], "list[Prompt]"]
"""Requests, and frames that each should last (0: what its text usually lasts) -> a prompt each."""


@dataclass(frozen=True, kw_only=True)
class SpeechLmSynthesizer:
    """A trained network with its codec.

    Attributes:
        network: a `SpeechLm` in evaluation mode.
        codec: whose codes it has learned, on the network's device.
        decoding: how codes are drawn.
        prompts: makes prompts of requests.
        rate: of the waveforms.
        controls_length: prompts can ask for a length, so another speed is another length; else waveforms are stretched.
    """

    network: nn.Module
    codec: SpeechCodec
    decoding: Decoding
    prompts: MakePrompts
    rate: Hertz
    controls_length: bool = False

    @torch.inference_mode()
    def speak(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) float32 in [-1, 1] per request."""
        waves = [self._at_rate(attempt.waveform) for attempt in self.attempts(requests)]
        if self.controls_length:
            return waves
        return [
            wave if request.speed == 1 else stretch(wave, self.rate, speed=request.speed)
            for wave, request in zip(waves, requests, strict=True)
        ]

    @torch.inference_mode()
    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """The samples of the first attempt, as the codec gets whole frames.

        The whole sentence at once where its own length has to be known first, or where the codec decodes no pieces.
        """
        codec = self.codec
        streams = codec.decodes_streams or codec.decoder_context is not None
        if request.speed != 1 or codec.sample_rate != self.rate or not streams:
            yield from self.speak([request])
            return
        (prompt,) = self.prompts([request], [0])
        recorder = StreamRecorder()
        pieces = generate_stream(self.network, prompt, self.decoding, every=frames_of_piece(codec))
        device = next(self.network.parameters()).device
        on_device = (codes.to(device) for codes in recorder.codes(pieces))
        yield from recorder.waveform(decode_pieces(codec, on_device))
        if fault := recorder.attempt(codec.sample_rate, shortest=prompt.shortest).fault:
            note = f"{fault}; what is streamed is not retried"
            if request.notes is None:
                logger.warning("%s: %s", _name(request), note)
            else:
                request.notes.append(note)

    @torch.inference_mode()
    def attempts(self, requests: Sequence[SynthesisRequest]) -> list[Attempt]:
        """The best attempt at each request."""
        prompts = self.prompts(requests, [0] * len(requests))
        hurried = [n for n, request in enumerate(requests) if request.speed != 1 and self.controls_length]
        if hurried:  # a speed divides the length that the sentence has at its own pace
            own = self._best([prompts[n] for n in hurried], [requests[n] for n in hurried])
            frames = [
                max(1, round(len(attempt.decoded.codes) / requests[n].speed))
                for n, attempt in zip(hurried, own, strict=True)
            ]
            for n, prompt in zip(hurried, self.prompts([requests[n] for n in hurried], frames), strict=True):
                prompts[n] = prompt
        return self._best(prompts, requests)

    def _best(self, prompts: Sequence[Prompt], requests: Sequence[SynthesisRequest]) -> list[Attempt]:
        sampling = self.decoding.sampling

        def attempt(numbers: Sequence[int], added: int) -> list[Attempt]:
            tried = [replace(prompts[number], seed=prompts[number].seed + added) for number in numbers]
            found = generate(self.network, tried, self.decoding)
            rate = self.codec.sample_rate
            return [
                Attempt(decoded, self._waveform(decoded.codes), rate, prompt.shortest)
                for decoded, prompt in zip(found, tried, strict=True)
            ]

        # with temperature 0 the same codes would come again
        return best_of(
            attempt,
            [_name(request) for request in requests],
            retries=sampling.retries if sampling.temperature else 0,
            notes=[request.notes for request in requests],
        )

    def _waveform(self, codes: torch.Tensor) -> np.ndarray:
        if not len(codes):
            return np.zeros(0, np.float32)
        wave = self.codec.decode(codes.to(next(self.network.parameters()).device).T[None])[0]
        found: np.ndarray = wave.clamp(-1, 1).float().cpu().numpy()
        return found

    def _at_rate(self, waveform: np.ndarray) -> np.ndarray:
        samples = resample(waveform, self.codec.sample_rate, self.rate)
        return np.clip(samples, -1, 1).astype(np.float32)


def _name(request: SynthesisRequest) -> str:
    return f"speech of {len(request.tokens)} tokens"
