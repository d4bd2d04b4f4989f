"""Log-mel spectrograms in the HiFi-GAN convention, on `torch.stft` and a Slaney filter bank.

The convention (jik876/hifi-gan `meldataset.py`; also Tacotron 2, FastPitch, Matcha): magnitude STFT without centring
but with (n_fft - hop) / 2 reflected samples at both ends, Slaney mel scale and norm, natural log clamped at 1e-5.
So a HiFi-GAN trained on it can replace Griffin-Lim.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from amtts_core.contract.vocoder import MelFormat
from amtts_core.settings import Settings

LOG_FLOOR = 1e-5


class MelConfig(Settings):
    """How a waveform becomes a mel spectrogram."""

    sample_rate: int = Field(22050, gt=0, description="samples per second, Hz")
    n_fft: int = Field(1024, gt=0, description="FFT length and window, samples")
    hop: int = Field(256, gt=0, description="samples between frames")
    n_mels: int = Field(80, gt=0, description="mel channels")
    fmin: float = Field(0.0, ge=0, description="lowest frequency, Hz")
    fmax: float = Field(8000.0, gt=0, description="highest frequency, Hz")

    @model_validator(mode="after")
    def _plausible(self) -> MelConfig:
        if not self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(f"needs fmin < fmax <= {self.sample_rate / 2:g} (half the sample rate)")
        if self.hop > self.n_fft:
            raise ValueError(f"hop {self.hop} is longer than n_fft {self.n_fft}: samples would be skipped")
        return self

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def format(self) -> MelFormat:
        """What a vocoder has to be made for."""
        return MelFormat(
            sample_rate=self.sample_rate,
            hop=self.hop,
            n_fft=self.n_fft,
            window=self.n_fft,
            n_mels=self.n_mels,
            fmin=self.fmin,
            fmax=self.fmax,
        )


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    hz = np.asarray(hz, dtype=np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1e-10) / 1000) / np.log(6.4))


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=8)
def mel_filters(config: MelConfig) -> Tensor:
    """Slaney-normalized triangular filters, (n_mels, n_fft // 2 + 1) float32."""
    bins = np.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1)
    edges = mel_to_hz(np.linspace(hz_to_mel(config.fmin), hz_to_mel(config.fmax), config.n_mels + 2))  # type: ignore[arg-type]
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    with torch.inference_mode(
        False
    ):  # it is kept: a caller that speaks must not spoil it for one that trains
        return torch.from_numpy((triangles * (2 / (high - low))).astype(np.float32))


def linear_spectrogram(waveform: Tensor, config: MelConfig) -> Tensor:
    """Magnitude STFT: (B, T) in [-1, 1] -> (B, n_fft // 2 + 1, L), L = T // hop for T a multiple of hop."""
    margin = (config.n_fft - config.hop) // 2
    mode = "reflect" if waveform.shape[-1] > margin else "constant"  # reflection needs that many samples
    padded = functional.pad(waveform[:, None], (margin, margin), mode=mode)[:, 0]
    if padded.shape[-1] < config.n_fft:
        padded = functional.pad(padded, (0, config.n_fft - padded.shape[-1]))
    window = torch.hann_window(config.n_fft, device=waveform.device)
    spectrum = torch.stft(
        padded, config.n_fft, config.hop, config.n_fft, window, center=False, return_complex=True
    )
    return torch.view_as_real(spectrum).pow(2).sum(-1).add(1e-9).sqrt()


def log_mel(waveform: Tensor, config: MelConfig) -> Tensor:
    """(B, T) in [-1, 1] -> (B, n_mels, L), natural log of mel magnitudes clamped at 1e-5."""
    mel = mel_filters(config).to(waveform.device) @ linear_spectrogram(waveform, config)
    return mel.clamp(min=LOG_FLOOR).log()


def mel_features(waveform: np.ndarray, config: MelConfig) -> np.ndarray:
    """Log mel of one waveform as a backend stores it: (T,) float32 in [-1, 1] -> (L, n_mels) float32."""
    mel = log_mel(torch.from_numpy(np.ascontiguousarray(waveform))[None], config)[0]
    return mel.T.contiguous().numpy()
