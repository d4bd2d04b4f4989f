"""Spectrograms as VITS takes them: linear magnitudes for the posterior encoder, natural-log mels for the loss.

Published constants (jaywalnut310/vits `mel_processing.py`): (n_fft - hop) / 2 reflected samples at both ends, no
centring, periodic Hann window, magnitude sqrt(re^2 + im^2 + 1e-6), Slaney mels clamped at 1e-5. Always float32.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.audio.mel import LOG_FLOOR, MelConfig, mel_filters

POWER_FLOOR = 1e-6


def linear_spectrogram(waveform: Tensor, config: MelConfig) -> Tensor:
    """Magnitudes: (B, T) in [-1, 1] -> (B, n_fft // 2 + 1, L), L = T // hop."""
    margin = (config.n_fft - config.hop) // 2
    mode = "reflect" if waveform.shape[-1] > margin else "constant"  # reflection needs that many samples
    with torch.autocast(waveform.device.type, enabled=False):
        padded = functional.pad(waveform.float()[:, None], (margin, margin), mode=mode)[:, 0]
        if padded.shape[-1] < config.n_fft:
            padded = functional.pad(padded, (0, config.n_fft - padded.shape[-1]))
        window = torch.hann_window(config.n_fft, device=waveform.device)
        spectrum = torch.stft(
            padded, config.n_fft, config.hop, config.n_fft, window, center=False, return_complex=True
        )
        return torch.view_as_real(spectrum).square().sum(-1).add(POWER_FLOOR).sqrt()


def mel_of_linear(spectrogram: Tensor, config: MelConfig) -> Tensor:
    """(B, n_fft // 2 + 1, L) magnitudes -> (B, M, L) natural-log mels."""
    with torch.autocast(spectrogram.device.type, enabled=False):
        mel = mel_filters(config).to(spectrogram.device) @ spectrogram.float()
        return mel.clamp(min=LOG_FLOOR).log()


def log_mel(waveform: Tensor, config: MelConfig) -> Tensor:
    """(B, T) in [-1, 1] -> (B, M, L) natural-log mels, L = T // hop."""
    return mel_of_linear(linear_spectrogram(waveform, config), config)
