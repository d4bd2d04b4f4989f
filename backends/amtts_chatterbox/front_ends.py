"""The spectrograms of Chatterbox's frozen parts: voice encoder (16 kHz), S3 tokenizer (16 kHz), S3Gen (24 kHz).

All three use the Slaney filter bank of `amtts_core.audio.mel`; they differ in framing, power and logarithm. The maths
is that of Chatterbox (Resemble AI, MIT license). T samples, M mel channels, L frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from amtts_core.audio.mel import MelConfig, log_mel, mel_filters

VOICE_RATE = 16000
"""Samples per second of the voice encoder and the S3 tokenizer, Hz."""
VOICE_MEL = MelConfig(sample_rate=VOICE_RATE, n_fft=400, hop=160, n_mels=40, fmin=0, fmax=8000)
S3_MEL = MelConfig(sample_rate=VOICE_RATE, n_fft=400, hop=160, n_mels=128, fmin=0, fmax=8000)
S3GEN_MEL = MelConfig(sample_rate=24000, n_fft=1920, hop=480, n_mels=80, fmin=0, fmax=8000)


def _power_mel(waveform: Tensor, config: MelConfig, *, drop_last: bool = False) -> Tensor:
    """Mel of the squared, centred STFT: (B, T) -> (B, M, 1 + T // hop), one frame less with `drop_last`."""
    window = torch.hann_window(config.n_fft, device=waveform.device)
    mode = "reflect" if waveform.shape[-1] > config.n_fft // 2 else "constant"
    spectrum = torch.stft(
        waveform, config.n_fft, config.hop, window=window, center=True, pad_mode=mode, return_complex=True
    )
    power = spectrum.abs().square()
    return mel_filters(config).to(waveform.device) @ (power[..., :-1] if drop_last else power)


def voice_mel(waveform: Tensor) -> Tensor:
    """Input of the voice encoder: (B, T) at 16 kHz -> (B, 40, 1 + T // 160), power, no logarithm."""
    return _power_mel(waveform, VOICE_MEL)


def s3_log_mel(waveform: Tensor) -> Tensor:
    """Input of the S3 tokenizer: (B, T) at 16 kHz -> (B, 128, T // 160).

    As in Whisper (Radford et al. 2022): log10, nothing more than 8 below the loudest value, then (x + 4) / 4. The
    loudest value is each item's own.
    """
    loudness = _power_mel(waveform, S3_MEL, drop_last=True).clamp(min=1e-10).log10()
    loudest = loudness.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(loudness, loudest - 8) + 4) / 4


def s3gen_mel_24k(waveform: Tensor) -> Tensor:
    """What S3Gen speaks: (B, T) at 24 kHz -> (B, 80, L), natural log of magnitudes in the HiFi-GAN convention."""
    return log_mel(waveform, S3GEN_MEL)
