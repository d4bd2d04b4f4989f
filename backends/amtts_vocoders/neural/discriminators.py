"""Small discriminators that a CPU can afford: folded waveforms, and log-magnitude spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from amtts_core.nn.discriminators import DiscriminatorOutput, PeriodDiscriminator, SubDiscriminator
from amtts_vocoders.neural.config import DiscriminatorConfig
from amtts_vocoders.neural.spectrum import power_of, real_fft


class WindowDiscriminator(SubDiscriminator):
    """On the magnitude STFT with one window (Jang et al. 2021), compressed by a logarithm."""

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.window = window
        strides = ((1, 1), (2, 1), (2, 1), (2, 2))
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(1 if not number else channels, channels, (7, 3), stride, padding=(3, 1)))
            for number, stride in enumerate(strides)
        )
        self.conv_post = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S) and feature maps."""
        shape = torch.hann_window(self.window, device=waveform.device)
        frames = waveform[:, 0].unfold(1, self.window, self.window // 4) * shape
        power = power_of(real_fft(frames)) / shape.square().sum()
        return self.score(((power + 1e-8).log() / 2 + 4)[:, None] / 3)


class Discriminators(nn.Module):
    """All of them."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        members: list[nn.Module] = [PeriodDiscriminator(p, config.period_channels) for p in config.periods]
        members += [WindowDiscriminator(window, config.window_channels) for window in config.windows]
        self.discriminators = nn.ModuleList(members)

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, T) -> scores and feature maps of every discriminator."""
        outputs = [member(waveform[:, None]) for member in self.discriminators]
        return DiscriminatorOutput([scores for scores, _ in outputs], [features for _, features in outputs])
