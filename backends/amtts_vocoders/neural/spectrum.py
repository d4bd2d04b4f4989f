"""Short-time spectra in the frames of the mel: frame i is centered at (i + 1/2) hops. Both ways, differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.audio.mel import MelConfig, mel_filters


class _RealFFT(torch.autograd.Function):
    """`torch.fft.rfft` over the last axis whose gradient is an inverse real FFT, half the work of torch's own."""

    @staticmethod
    def forward(context: Any, frames: Tensor) -> Tensor:
        context.size = frames.shape[-1]
        return torch.fft.rfft(frames)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        doubled = gradient.clone()
        doubled[..., 1 : (context.size + 1) // 2] *= 0.5
        return torch.fft.irfft(doubled, n=context.size, norm="forward")


def real_fft(frames: Tensor) -> Tensor:
    """(..., N) -> complex (..., N / 2 + 1)."""
    if torch.is_grad_enabled() and frames.requires_grad:
        spectrum: Tensor = _RealFFT.apply(frames)
        return spectrum
    return torch.fft.rfft(frames)


def power_of(spectrum: Tensor) -> Tensor:
    """Squared magnitude of a complex tensor."""
    return spectrum.real.square() + spectrum.imag.square()


def scaled(spectrum: Tensor, gain: Tensor) -> Tensor:
    """Complex times real of one shape; where gradients flow, without making the real factor complex."""
    if not torch.is_grad_enabled():
        return spectrum * gain
    return torch.view_as_complex(torch.view_as_real(spectrum) * gain[..., None])


class FrameSpectrum(nn.Module):
    """STFT and its inverse with a Hann window. B items, L frames, K = n_fft / 2 + 1 bins, T = L * hop samples."""

    window: Tensor
    envelope: Tensor
    filters: Tensor
    spread: Tensor
    audible: Tensor

    def __init__(self, mel: MelConfig) -> None:
        super().__init__()
        self.size, self.hop = mel.n_fft, mel.hop
        self.parts = mel.n_fft // mel.hop
        self.margin = (mel.n_fft - mel.hop) // 2
        window = torch.hann_window(mel.n_fft)
        self.register_buffer("window", window, persistent=False)
        overlap = window.square().reshape(self.parts, mel.hop).sum(0)
        self.register_buffer("envelope", overlap, persistent=False)
        filters = mel_filters(mel).clone()
        self.register_buffer("filters", filters, persistent=False)
        share = filters.sum(0, keepdim=True)
        self.register_buffer("spread", (filters / (share + 1e-6)).T.contiguous(), persistent=False)
        self.register_buffer("audible", (share[0] > 0).float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, T) -> complex (B, L, K); the ends are reflected, as the mel's analysis does."""
        mode = "reflect" if waveform.shape[1] > self.margin else "constant"
        padded = functional.pad(waveform[:, None], (self.margin, self.margin), mode=mode)[:, 0]
        return real_fft(padded.unfold(1, self.size, self.hop) * self.window)

    def inverse(self, spectrum: Tensor) -> Tensor:
        """Complex (B, L, K) -> (B, T): the waveform whose windowed frames are nearest to `spectrum`."""
        frames = torch.fft.irfft(spectrum, n=self.size, dim=-1) * self.window
        blocks = frames.unflatten(-1, (self.parts, self.hop)).unbind(2)  # P times (B, L, H)
        count = spectrum.shape[1] + self.parts - 1
        total = sum(
            functional.pad(block, (0, 0, part, count - spectrum.shape[1] - part))
            for part, block in enumerate(blocks)
        )
        assert isinstance(total, Tensor)
        return (total / self._weight(spectrum.shape[1])).flatten(1)[:, self.margin : -self.margin or None]

    def _weight(self, frames: int) -> Tensor:
        """Sum of the squared windows over each block of hop samples, (L + P - 1, H)."""
        squares = self.window.square().reshape(self.parts, self.hop)
        whole = self.envelope.expand(frames + self.parts - 1, -1).clone()
        for number in range(min(self.parts - 1, frames)):
            whole[number] = squares[: number + 1].sum(0)
            whole[-1 - number] = squares[self.parts - 1 - number :].sum(0)
        return whole.clamp(min=1e-3)

    def log_mel(self, spectrum: Tensor) -> Tensor:
        """Complex (B, L, K) -> natural-log mel (B, L, M), as `amtts_core.audio.mel.log_mel`."""
        return ((power_of(spectrum) + 1e-9).sqrt() @ self.filters.T).clamp(min=1e-5).log()
