"""Codes to speech with a reference voice: whole utterances, several at a time.

Every utterance sounds as it does alone, whatever else is in the batch. N codes, T = 960 N samples at 24 kHz.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_chatterbox.s3.estimator import MELS
from amtts_chatterbox.s3.fast_vocoder import FastHift
from amtts_chatterbox.s3.flow_encoder import UPSAMPLING
from amtts_chatterbox.s3.noise import frame_noise, source_noise, source_phase
from amtts_chatterbox.s3.reference_voice import ReferenceVoice
from amtts_chatterbox.s3.weights import S3Network, refuse_codes
from amtts_core.memory import keep_freed_memory

logger = logging.getLogger(__name__)
MUTED = 480
"""Samples, 20 ms: the first ones are silent, the next ones fade in, as published."""
TOGETHER = 8
"""Utterances of one voice that an accelerator computes as one batch; a CPU gains nothing by it."""


def faded(waveform: Tensor) -> Tensor:
    """(B, T) with the first 20 ms muted and the next 20 ms faded in; what follows stays."""
    ramp = torch.zeros(2 * MUTED, device=waveform.device)
    ramp[MUTED:] = (torch.cos(torch.linspace(math.pi, 0, MUTED, device=waveform.device)) + 1) / 2
    length = min(len(ramp), waveform.shape[1])
    return torch.cat([waveform[:, :length] * ramp[:length], waveform[:, length:]], dim=1)


@dataclass(frozen=True)
class Spoken:
    """An utterance to be made.

    Attributes:
        codes: (N,) int64.
        voice: on the network's device.
        seed: of all its random numbers.
    """

    codes: Tensor
    voice: ReferenceVoice
    seed: int = 0


@lru_cache(maxsize=2)
def bf16_pays(device: str) -> bool:
    """Whether bfloat16 is faster here: on a processor without units for it, it takes several times as long.

    The setting is a permission to round, so it is not taken where it costs time.
    """
    if device != "cpu":
        return True
    left, right = torch.ones(512, 256), torch.ones(256, 1024)
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        one, other = left.to(dtype), right.to(dtype)
        times = []
        for _ in range(4):
            began = time.thread_time()
            torch.mm(one, other)
            times.append(time.thread_time() - began)
        seconds[dtype] = min(times[1:])
    pays = seconds[torch.bfloat16] < seconds[torch.float32]
    if not pays:
        logger.warning("bfloat16 is slower than float32 on this processor, so S3Gen speaks in float32")
    return pays


class S3Speech:
    """Speaks codes.

    Args:
        network: in evaluation mode, on the device where it shall run.
        config: how; its `bf16` changes the network's flow.
    """

    def __init__(self, network: S3Network, config: S3SpeakingConfig | None = None) -> None:
        self.network = network
        self.config = config or S3SpeakingConfig()
        self._decoder: FastHift | None = None
        keep_freed_memory()

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.network.flow.encoder_proj.weight.device

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """`Hift.decode`, the fast way on a CPU."""
        if self.device.type != "cpu":
            return self.network.vocoder.decode(mel, source)
        if self._decoder is None:
            self._decoder = FastHift(self.network.vocoder)
        return self._decoder.decode(mel, source)

    @torch.inference_mode()
    def speak(self, utterances: Sequence[Spoken]) -> list[Tensor]:
        """Waveforms (960 N,) at 24 kHz, on the CPU.

        Raises:
            AmttsError: codes that are none.
        """
        for utterance in utterances:
            refuse_codes(utterance.codes)
        waves: dict[int, Tensor] = {}
        for group in self._groups(utterances):
            mels = self.mels([utterances[number] for number in group])
            for number, mel in zip(group, mels, strict=True):
                waves[number] = faded(self.vocode(mel, utterances[number].seed)[None])[0].cpu()
        return [waves[number] for number in range(len(utterances))]

    def _groups(self, utterances: Sequence[Spoken]) -> Iterator[list[int]]:
        """Numbers of utterances that are computed together: of one voice, of like length."""
        together = 1 if self.device.type == "cpu" else TOGETHER
        by_voice: dict[int, list[int]] = {}
        for number, utterance in enumerate(utterances):
            by_voice.setdefault(id(utterance.voice), []).append(number)
        for numbers in by_voice.values():
            ordered = sorted(numbers, key=lambda number: len(utterances[number].codes))
            for start in range(0, len(ordered), together):
                yield ordered[start : start + together]

    def mels(
        self, utterances: Sequence[Spoken], *, first: int = 0, more_follows: bool = False
    ) -> list[Tensor]:
        """Mels (80, 2 N) of utterances of one voice.

        Args:
            utterances: computed as one batch.
            first: code of the whole speech that `codes` begin with, for the noise of its frames.
            more_follows: the last three codes are only looked at and have no frames.
        """
        flow, voice = self.network.flow, utterances[0].voice
        dtype = torch.bfloat16 if self.config.bf16 and bf16_pays(self.device.type) else torch.float32
        if flow.dtype != dtype:
            flow.compute_in(dtype)
        lengths = torch.tensor([len(utterance.codes) for utterance in utterances], device=self.device)
        rows = [utterance.codes.to(self.device).long() for utterance in utterances]
        conditions = flow.conditions(
            nn.utils.rnn.pad_sequence(rows, batch_first=True),
            lengths,
            voice.codes[None],
            voice.mel[None],
            voice.embedding[None],
            more_follows=more_follows,
        )
        frames, prompted = conditions.mu.shape[1], len(voice.mel)
        noise = torch.stack(
            [
                self._noise(utterance.seed, prompted, UPSAMPLING * first, frames - prompted)
                for utterance in utterances
            ]
        )
        solved = flow.solve(
            noise.to(self.device), conditions, steps=self.config.steps, guidance=self.config.guidance
        )
        dropped = frames - UPSAMPLING * (len(voice.codes) + int(lengths.max()))
        ends = (UPSAMPLING * (len(voice.codes) + lengths) + dropped).tolist()
        return [row[prompted:end].t() for row, end in zip(solved, ends, strict=True)]

    @staticmethod
    def _noise(seed: int, prompted: int, first: int, count: int) -> Tensor:
        """(prompted + count, 80): of the prompt, and of the speech's own frames from `first` on."""
        prompt = frame_noise(seed, "prompt", first=0, count=prompted, width=MELS)
        return torch.cat([prompt, frame_noise(seed, "mel", first=first, count=count, width=MELS)])

    def vocode(self, mel: Tensor, seed: int) -> Tensor:
        """Waveform (480 L,) of a mel (80, L), before its beginning is faded."""
        vocoder, frames = self.network.vocoder, mel.shape[1]
        pitch = vocoder.pitch(mel[None])
        phase, noise = source_phase(seed), source_noise(seed, first=0, count=frames)
        source = vocoder.source(pitch, phase[None].to(mel.device), noise[None].to(mel.device))
        return self.decode(mel[None], source)[0]
