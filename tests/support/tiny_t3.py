"""A tiny T3 over a toy codec whose codes are tones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_voice import fidel_tokenizer
from torch import Tensor

from amtts_chatterbox.t3.backend import ChatterboxT3Backend
from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_core.contract.codec import SpeechCodec
from amtts_core.speech_lm import codec_of

CODES = 24


class ToneCodec(SpeechCodec):
    """16 kHz, 25 frames a second: the code is the band of the strongest frequency; decoding plays its tone."""

    name, license, weights_hash = "tones", "", "0" * 64
    sample_rate, frame_rate, num_codebooks, cardinality = 16000, 25.0, 1, CODES
    _hop = 640

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> ToneCodec:
        return cls()

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // self._hop)

    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        padded = torch.nn.functional.pad(waveform, (0, -waveform.shape[1] % self._hop))
        frames = padded.unflatten(1, (-1, self._hop))
        power = torch.fft.rfft(frames).abs()[..., 4 : 4 + 2 * CODES].unflatten(-1, (CODES, 2)).sum(-1)
        return power.argmax(-1)[:, None]

    def decode(self, codes: Tensor) -> Tensor:
        time = torch.arange(self._hop) / self.sample_rate
        hertz = (codes[:, 0] * 2 + 4.5) * self.frame_rate
        return (0.3 * torch.sin(2 * torch.pi * hertz[..., None] * time)).flatten(1)

    def to(self, device: object) -> ToneCodec:
        return self


@contextmanager
def tone_codec(kind: type[ToneCodec] = ToneCodec) -> Iterator[None]:
    """Inside, every codec that settings name is this one."""
    codec_of._opened.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec_of, "open_codec", lambda name, weights, num_codebooks: kind())
        yield
    codec_of._opened.cache_clear()


def config(**changes: object) -> T3Config:
    sizes = {"speech_codes": CODES, "start_speech": CODES, "stop_speech": CODES + 1, "speech_rows": CODES + 2}
    return T3Config.model_validate(
        PRESETS["tiny"] | sizes | {"codec": "tones", "codec_weights": "tones"} | changes
    )


def build(speakers: tuple[str, ...] = (), **changes: object) -> ChatterboxT3Backend:
    torch.manual_seed(7)
    return ChatterboxT3Backend(config(**changes), tokenizer=fidel_tokenizer(), speakers=speakers)
