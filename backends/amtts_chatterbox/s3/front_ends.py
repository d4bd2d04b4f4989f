"""What the S3 tokenizer and the speaker encoder are fed: long log-mels, Kaldi filter banks, windowed-sinc resampling.

The two mels of the path itself are in `amtts_chatterbox.front_ends`. T samples, M mel channels, L frames.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from amtts_chatterbox.front_ends import S3_MEL, s3_log_mel
from amtts_core.audio.mel import mel_filters
from amtts_core.units import Hertz

FBANK_FRAME, FBANK_HOP, FBANK_FFT, FBANK_BINS = 400, 160, 512, 80
FBANK_LOW, FBANK_HIGH = 20.0, 8000.0
FBANK_FLOOR = 1.1920928955078125e-07
"""float32's epsilon, below which Kaldi takes no logarithm."""
SHORTEST_FBANK = 720
"""Samples of which the speaker encoder makes a number: with fewer it has one frame, whose deviation is not a number."""
BLOCK = 6000
"""Frames of a long log-mel that exist as a spectrum at a time: one minute."""
ZERO_CROSSINGS, ROLL_OFF = 6, 0.99
"""Of the windowed sinc: `torchaudio.transforms.Resample`'s defaults, which the published weights were used with."""


def long_log_mel(waveform: Tensor) -> Tensor:
    """`s3_log_mel` of one recording (T,) of any length, (M, T // 160); the spectrum exists a minute at a time."""
    frames, hop, size = len(waveform) // S3_MEL.hop, S3_MEL.hop, S3_MEL.n_fft
    if frames <= BLOCK:
        return s3_log_mel(waveform[None])[0]
    padded = functional.pad(waveform[None, None], (size // 2, size // 2), mode="reflect")[0, 0]
    window = torch.hann_window(size, device=waveform.device)
    filters = mel_filters(S3_MEL).to(waveform.device)
    out = torch.empty(S3_MEL.n_mels, frames, device=waveform.device)
    for first in range(0, frames, BLOCK):
        count = min(BLOCK, frames - first)
        part = padded[first * hop : (first + count - 1) * hop + size]
        spectrum = torch.stft(part, size, hop, window=window, center=False, return_complex=True)
        out[:, first : first + count] = (filters @ spectrum.abs().square()).clamp(min=1e-10).log10()
    return torch.maximum(out, out.max() - 8).add_(4).div_(4)


@lru_cache(maxsize=1)
def kaldi_filters() -> Tensor:
    """Triangles evenly spaced in Kaldi's mel scale, 1127 ln(1 + f / 700), and straight in it: (80, 257) float32.

    The Nyquist bin counts nothing. Povey et al. 2011, `feat/mel-computations.cc`.
    """
    low, high = (1127.0 * math.log1p(edge / 700) for edge in (FBANK_LOW, FBANK_HIGH))
    width = (high - low) / (FBANK_BINS + 1)
    with torch.inference_mode(False):
        hertz = torch.arange(FBANK_FFT // 2, dtype=torch.float64) * (2 * FBANK_HIGH / FBANK_FFT)
        mel = 1127.0 * torch.log1p(hertz / 700)
        left = (low + width * torch.arange(FBANK_BINS, dtype=torch.float64))[:, None]
        triangles = torch.minimum((mel - left) / width, (left + 2 * width - mel) / width).clamp(min=0)
        return functional.pad(triangles, (0, 1)).float()


def kaldi_fbank(waveform: Tensor) -> Tensor:
    """Log filter-bank energies (T,) at 16 kHz -> (L, 80), L = 1 + (T - 400) // 160: Kaldi's defaults without dither.

    Each frame loses its mean, is pre-emphasized by 0.97 and seen through Povey's window, a symmetric Hann to the power
    of 0.85.
    """
    frames = waveform.unfold(0, FBANK_FRAME, FBANK_HOP)
    frames = frames - frames.mean(1, keepdim=True)
    frames = frames - 0.97 * torch.cat([frames[:, :1], frames[:, :-1]], 1)
    window = torch.hann_window(FBANK_FRAME, periodic=False, device=waveform.device).pow(0.85)
    power = torch.fft.rfft(functional.pad(frames * window, (0, FBANK_FFT - FBANK_FRAME))).abs().square()
    return (power @ kaldi_filters().to(waveform.device).t()).clamp(min=FBANK_FLOOR).log()


@lru_cache(maxsize=8)
def _sinc_kernel(old: int, new: int) -> tuple[Tensor, int]:
    """One filter for each output phase (new, taps) float32, and the samples it looks back."""
    cutoff = min(old, new) * ROLL_OFF
    width = math.ceil(ZERO_CROSSINGS * old / cutoff)
    with torch.inference_mode(False):
        phases = -torch.arange(new, dtype=torch.float64)[:, None] / new
        taps = torch.arange(-width, width + old, dtype=torch.float64)[None] / old
        time = ((phases + taps) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
        hann = torch.cos(time * math.pi / (2 * ZERO_CROSSINGS)).square()
        return (torch.sinc(time) * hann * (cutoff / old)).float(), width


def sinc_resample(waveform: Tensor, rate: Hertz, to: Hertz) -> Tensor:
    """Another rate by a windowed sinc: (B, T) -> (B, ceil(T * to / rate)).

    The published voices were made with exactly this filter; another one shifts the timbre of what S3Gen speaks.
    """
    if rate == to:
        return waveform
    common = math.gcd(rate, to)
    old, new = rate // common, to // common
    kernel, width = _sinc_kernel(old, new)
    padded = functional.pad(waveform[:, None], (width, width + old))
    phases = functional.conv1d(padded, kernel[:, None].to(waveform), stride=old)
    length = -(-new * waveform.shape[1] // old)
    return phases.transpose(1, 2).reshape(len(waveform), -1)[:, :length]
