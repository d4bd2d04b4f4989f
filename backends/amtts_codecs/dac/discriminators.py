"""The discriminators of DAC: folded waveforms, and complex spectrograms in bands (Kumar et al. 2023, section 3.3)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from amtts_codecs.dac.config import DacDiscriminatorConfig
from amtts_core.nn.discriminators import SLOPE, DiscriminatorOutput, PeriodDiscriminator


class BandDiscriminator(nn.Module):
    """On the complex STFT with one window: each band of the spectrum has convolutions of its own.

    Args:
        window: samples; the hop is a quarter of it.
        edges: of the bands, shares of the spectrum.
        channels: of all layers.
    """

    def __init__(self, window: int, edges: tuple[float, ...], channels: int) -> None:
        super().__init__()
        self.window = window
        bins = window // 2 + 1
        self.bands = [(int(low * bins), int(high * bins)) for low, high in pairwise(edges)]
        self.band_convs = nn.ModuleList(_Band(channels) for _ in self.bands)
        self.conv_post = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S) and feature maps."""
        spectrum, features, outputs = self._spectrum(waveform[:, 0]), [], []
        for (low, high), layers in zip(self.bands, self.band_convs, strict=True):
            maps = layers(spectrum[..., low:high])
            features += maps
            outputs.append(maps[-1])
        scores = self.conv_post(torch.cat(outputs, dim=-1))
        features.append(scores)
        return scores.flatten(1), features

    def _spectrum(self, waveform: Tensor) -> Tensor:
        """(B, T) -> (B, 2, L, bins), real and imaginary part, L = ceil(T / hop)."""
        hop = self.window // 4
        margin = (self.window - hop) // 2
        padded = functional.pad(
            waveform[:, None].float(), (margin, margin + -waveform.shape[1] % hop), mode="reflect"
        )
        window = torch.hann_window(self.window, device=waveform.device)
        spectrum = torch.stft(
            padded[:, 0], self.window, hop, self.window, window, center=True, return_complex=True
        )
        return torch.view_as_real(spectrum[..., 2:-2]).permute(0, 3, 2, 1)  # the cut frames see padding only


class _Band(nn.ModuleList):
    """The layers of one band."""

    def __init__(self, channels: int) -> None:
        convs = [nn.Conv2d(2, channels, (3, 9), padding=(1, 4))]
        convs += [nn.Conv2d(channels, channels, (3, 9), (1, 2), padding=(1, 4)) for _ in range(3)]
        convs.append(nn.Conv2d(channels, channels, (3, 3), padding=(1, 1)))
        super().__init__(weight_norm(conv) for conv in convs)

    def forward(self, hidden: Tensor) -> list[Tensor]:
        """(B, 2, L, F) -> the feature map of every layer."""
        maps = []
        for layer in self:
            hidden = functional.leaky_relu(layer(hidden), SLOPE)
            maps.append(hidden)
        return maps


class DacDiscriminator(nn.Module):
    """All discriminators together, on a waveform without its mean and at a peak of 0.8."""

    def __init__(self, config: DacDiscriminatorConfig) -> None:
        super().__init__()
        discriminators: list[nn.Module] = [
            PeriodDiscriminator(period, config.period_channels) for period in config.periods
        ]
        discriminators += [
            BandDiscriminator(window, config.band_edges, config.band_channels) for window in config.windows
        ]
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, 1, T) -> scores and feature maps of every discriminator."""
        level = waveform - waveform.mean(dim=-1, keepdim=True)
        level = 0.8 * level / (level.abs().amax(dim=-1, keepdim=True) + 1e-9)
        outputs = [discriminator(level) for discriminator in self.discriminators]
        return DiscriminatorOutput([scores for scores, _ in outputs], [features for _, features in outputs])
