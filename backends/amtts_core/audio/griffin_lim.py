"""A waveform from a mel spectrogram without a trained vocoder: fast Griffin-Lim (Perraudin et al. 2013)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from amtts_core.audio.mel import MelConfig, mel_filters

MOMENTUM = 0.99


@lru_cache(maxsize=8)
def _inverse_filters(config: MelConfig) -> Tensor:
    return torch.linalg.pinv(mel_filters(config))


def mel_to_linear(mel: Tensor, config: MelConfig) -> Tensor:
    """Mel magnitudes (n_mels, L) -> non-negative linear magnitudes (n_fft // 2 + 1, L).

    Starts from the pseudo-inverse and refines by multiplicative updates (Lee & Seung 2001), which keep the
    magnitudes non-negative and bring the mel of the result close to the one asked for.
    """
    filters = mel_filters(config)
    linear = (_inverse_filters(config) @ mel).clamp(min=1e-6)
    weight = filters.sum(0)[:, None]
    audible = weight > 0
    for _ in range(8):
        ratio = mel / (filters @ linear).clamp(min=1e-8)
        linear = torch.where(audible, linear * (filters.T @ ratio) / weight.clamp(min=1e-8), linear)
    return torch.where(audible, linear, torch.zeros(()))  # nothing is known above fmax


def griffin_lim(log_mel: Tensor, config: MelConfig, *, iterations: int = 48, seed: int = 0) -> Tensor:
    """One waveform from natural-log mels.

    Args:
        log_mel: (n_mels, L), as `amtts_core.audio.mel.log_mel` makes it.
        config: the same as for analysis.
        iterations: more is smoother; 30-60 is usual.
        seed: of the random initial phase.

    Returns:
        (T,) with T = L * hop, not clipped.
    """
    magnitude = mel_to_linear(log_mel.float().exp(), config)
    frames = magnitude.shape[1]
    window = torch.hann_window(config.n_fft)
    length = frames * config.hop
    # The analysis centres frame i at (i + 1/2) hops, a centred STFT at i hops: the result is half a hop (6 ms) early.
    magnitude = torch.cat([magnitude, magnitude[:, -1:]], dim=1)

    def stft(wave: Tensor) -> Tensor:
        return torch.stft(wave, config.n_fft, config.hop, config.n_fft, window, return_complex=True)

    def istft(spectrum: Tensor) -> Tensor:
        return torch.istft(spectrum, config.n_fft, config.hop, config.n_fft, window, length=length)

    generator = torch.Generator().manual_seed(seed)
    phase = torch.rand(magnitude.shape, generator=generator) * (2 * torch.pi)
    estimate = torch.polar(magnitude, phase)
    previous = torch.zeros_like(estimate)
    if length <= config.n_fft // 2:  # too short for the centred STFT's reflection
        return torch.zeros(length)
    for _ in range(iterations):
        rebuilt = stft(istft(estimate))
        accelerated = rebuilt + MOMENTUM * (rebuilt - previous)
        estimate = magnitude * accelerated / accelerated.abs().clamp(min=1e-9)
        previous = rebuilt
    return istft(estimate)
