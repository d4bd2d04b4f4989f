"""A reference voice of S3Gen: the codes, the mel and the x-vector of a recording.

P codes, F mel frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from amtts_chatterbox.front_ends import S3GEN_MEL, VOICE_RATE, s3gen_mel_24k
from amtts_chatterbox.s3.front_ends import long_log_mel, sinc_resample
from amtts_chatterbox.s3.speaker_encoder import x_vectors
from amtts_chatterbox.s3.tokenizer import tokenize
from amtts_chatterbox.s3.vocoder import RATE
from amtts_chatterbox.s3.weights import S3Network
from amtts_core.errors import AmttsError

GRID = 960
"""Samples at 24 kHz of one code, 40 ms: after one that ends elsewhere every frame lies one beside its prompt."""


@dataclass(frozen=True)
class ReferenceVoice:
    """What S3Gen needs of who speaks.

    Attributes:
        codes: (P,) int64.
        mel: (F, 80) float32 at 50 frames a second.
        embedding: x-vector (192,) float32, not normalized.
    """

    codes: Tensor
    mel: Tensor
    embedding: Tensor

    def to(self, device: torch.device) -> ReferenceVoice:
        """The same on a device; codes stay integers."""
        return ReferenceVoice(self.codes.to(device), self.mel.to(device), self.embedding.to(device))


@torch.inference_mode()
def embed_reference(network: S3Network, waveform: Tensor) -> ReferenceVoice:
    """The voice of a recording (T,) at 24 kHz, as the original's `embed_ref`; give whole multiples of `GRID`.

    Raises:
        AmttsError: it is too short.
    """
    shortest = max(2 * GRID, S3GEN_MEL.n_fft)
    if len(waveform) < shortest:
        raise AmttsError(f"a reference of {len(waveform)} samples at {RATE} Hz; the shortest is {shortest}")
    mel = s3gen_mel_24k(waveform[None])[0].t()
    low = sinc_resample(waveform[None], RATE, VOICE_RATE)[0]
    codes = tokenize(network.tokenizer, [long_log_mel(low)])[0][: len(mel) // 2]
    return ReferenceVoice(codes, mel, x_vectors(network.speaker_encoder, [low])[0])
