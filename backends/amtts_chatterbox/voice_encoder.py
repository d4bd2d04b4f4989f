"""The voice encoder: a recording to a speaker vector. An LSTM over windows of power mels, averaged.

Reads the published `ve.safetensors` or `ve.pt` (Chatterbox, Resemble AI, MIT license), whose names it keeps, so there
is nothing to map. N windows, L frames, M mel channels, E channels of the vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.front_ends import VOICE_MEL, VOICE_RATE, voice_mel
from amtts_chatterbox.published import read_published_tensors
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.units import Decibels

WINDOW = 160
"""Frames the LSTM sees at a time, 1.6 s."""
STEP = round(VOICE_RATE / 1.3 / WINDOW)
"""Frames between windows: 77, from the published rate of 1.3."""
LEAST_COVERAGE = 0.8
"""A last window stands if so much of it is sound; the rest is zeros."""


class VoiceEncoder(nn.Module):
    """Windows of mels to unit vectors with no negative channel.

    Args:
        hidden: channels of the LSTM.
        size: channels E of the vector.
        layers: of the LSTM.
        mels: channels of the spectrogram.
    """

    def __init__(
        self, *, hidden: int = 256, size: int = 256, layers: int = 3, mels: int = VOICE_MEL.n_mels
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(mels, hidden, num_layers=layers, batch_first=True)
        self.proj = nn.Linear(hidden, size)
        # Scale and offset of the cosine in the training loss; published files carry them.
        self.similarity_weight = nn.Parameter(torch.tensor([10.0]))
        self.similarity_bias = nn.Parameter(torch.tensor([-5.0]))

    def forward(self, windows: Tensor) -> Tensor:
        """(N, L, M) -> (N, E)."""
        _, (last, _) = self.lstm(windows)
        raw = functional.relu(self.proj(last[-1]))
        return raw / raw.norm(dim=1, keepdim=True)

    @torch.inference_mode()
    def embed(self, waveform: Tensor, *, top_db: Decibels = 20.0, batch: int = 64) -> Tensor:
        """The speaker vector (E,) of a recording (T,) at 16 kHz.

        Args:
            waveform: float in [-1, 1].
            top_db: silence at both ends is what is so much quieter than the loudest frame.
            batch: windows at a time.

        Raises:
            AmttsError: there is no sound in it.
        """
        device = self.proj.weight.device
        speech = trim_silence(waveform, top_db=top_db)
        if not len(speech) or not bool(speech.any()):
            raise AmttsError("a speaker vector needs a recording with sound in it")
        found = windows_of(voice_mel(speech[None].to(device))[0].T)
        mean = torch.cat([self(part) for part in found.split(batch)]).mean(0)
        return mean / mean.norm()


def windows_of(mel: Tensor) -> Tensor:
    """(L, M) -> (N, 160, M): overlapping windows; the last is padded with zeros or left out."""
    frames = len(mel)
    count, rest = divmod(max(frames - WINDOW + STEP, 0), STEP)
    if count == 0 or (rest + WINDOW - STEP) / WINDOW >= LEAST_COVERAGE:
        count += 1
    needed = WINDOW + STEP * (count - 1)
    padded = functional.pad(mel, (0, 0, 0, max(0, needed - frames)))[:needed]
    return padded.unfold(0, WINDOW, STEP).transpose(1, 2)


def trim_silence(waveform: Tensor, *, top_db: Decibels, frame: int = 2048, hop: int = 512) -> Tensor:
    """Cuts both ends (T,) where the RMS of centred frames is `top_db` under the loudest; all of silence is cut.

    As `librosa.effects.trim` does it, which the published encoder was trained behind: frames padded with zeros,
    decibels relative to the loudest frame, both floored at 1e-10 in power.
    """
    samples = np.pad(waveform.detach().cpu().numpy().astype(np.float32), frame // 2)
    if len(samples) < frame:
        return waveform
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]
    power = np.mean(np.square(frames), axis=1, dtype=np.float64)
    level = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(float(power.max()), 1e-10))
    loud = np.flatnonzero(level > -top_db)
    if not len(loud):
        return waveform[:0]
    return waveform[int(loud[0]) * hop : min(len(waveform), (int(loud[-1]) + 1) * hop)]


def load_voice_encoder(path: Path) -> VoiceEncoder:
    """The published encoder (`ve.safetensors`, `ve.pt`); its sizes are those of the tensors.

    Raises:
        CheckpointError: unreadable, or not a voice encoder.
    """
    remedy = "Give ve.safetensors or ve.pt as published for Chatterbox"
    return voice_encoder_of(
        read_published_tensors(path, what="voice encoder", remedy=remedy), source=str(path)
    )


def voice_encoder_of(weights: Mapping[str, Tensor], *, source: str) -> VoiceEncoder:
    """An encoder with these weights, in evaluation mode."""
    first, last = weights.get("lstm.weight_ih_l0"), weights.get("proj.weight")
    if first is None or last is None or first.ndim != 2 or last.ndim != 2:
        raise CheckpointError(f"{source} holds no voice encoder (lstm.weight_ih_l0 and proj.weight)")
    layers = sum(name.startswith("lstm.weight_ih_l") for name in weights)
    encoder = VoiceEncoder(hidden=last.shape[1], size=last.shape[0], layers=layers, mels=first.shape[1])
    load_strict(encoder, weights, backend="chatterbox voice encoder")
    return encoder.eval()
