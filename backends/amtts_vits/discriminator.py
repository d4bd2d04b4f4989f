"""The discriminators of VITS: one of the waveform, one for each period of a folded waveform (Kong et al. 2020).

Optional ones hear spectrograms of several resolutions (Jang et al. 2021, UnivNet); no published VITS has them.

Module names are the published ones (`discriminators.0` the waveform, `discriminators.1` and on the periods), so that
MMS discriminators load. They are written with torch's parametrised weight norm, which can be copied and folded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from amtts_core.nn.discriminators import DiscriminatorOutput, PeriodDiscriminator, SubDiscriminator
from amtts_vits.spectrogram import POWER_FLOOR


class ScaleDiscriminator(SubDiscriminator):
    """On the waveform: grouped convolutions with stride 4.

    Args:
        channels: of the layers; layer n > 0 has 4^n groups.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        convs = [nn.Conv1d(1, channels[0], 15, 1, padding=7)]
        groups = 4
        for before, after in zip(channels[:-1], channels[1:], strict=True):
            convs.append(nn.Conv1d(before, after, 41, 4, groups=groups, padding=20))
            groups *= 4
        last = channels[-1]
        convs.append(nn.Conv1d(last, last, 5, 1, padding=2))
        self.convs = nn.ModuleList(weight_norm(conv) for conv in convs)
        self.conv_post = weight_norm(nn.Conv1d(last, 1, 3, 1, padding=1))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S) and feature maps."""
        return self.score(waveform)


class ResolutionDiscriminator(SubDiscriminator):
    """On magnitudes of a spectrogram, as a picture; convolutions with stride 2 along time.

    Args:
        size, hop, window: of the Fourier transform, in samples.
        channels: of every layer.
    """

    taper: Tensor

    def __init__(self, size: int, hop: int, window: int, channels: int) -> None:
        super().__init__()
        self.size, self.hop = size, hop
        convs = [nn.Conv2d(1, channels, (3, 9), padding=(1, 4))]
        convs += [nn.Conv2d(channels, channels, (3, 9), (1, 2), padding=(1, 4)) for _ in range(3)]
        convs.append(nn.Conv2d(channels, channels, (3, 3), padding=(1, 1)))
        self.convs = nn.ModuleList(weight_norm(conv) for conv in convs)
        self.conv_post = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))
        self.register_buffer("taper", torch.hann_window(window), persistent=False)

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S) and feature maps (B, C, F, L)."""
        margin = (self.size - self.hop) // 2
        with torch.autocast(waveform.device.type, enabled=False):
            padded = functional.pad(waveform.float(), (margin, margin), mode="reflect")[:, 0]
            spectrum = torch.stft(
                padded, self.size, self.hop, len(self.taper), self.taper, center=False, return_complex=True
            )
            power = torch.view_as_real(spectrum).square().sum(-1)
            magnitudes = power.add(POWER_FLOOR).sqrt()  # the gradient of a bare root is infinite in silence
        return self.score(magnitudes[:, None])


class Discriminator(nn.Module):
    """All discriminators together.

    Args:
        periods: of the period discriminators.
        period_channels: channels of their strided layers.
        scale_channels: channels of the discriminator on the waveform, without its input.
        resolutions: FFT size, hop and window of each discriminator on spectrograms; they come last.
        resolution_channels: their channels.
    """

    def __init__(
        self,
        *,
        periods: Sequence[int],
        period_channels: Sequence[int],
        scale_channels: Sequence[int],
        resolutions: Sequence[tuple[int, int, int]] = (),
        resolution_channels: int = 32,
    ) -> None:
        super().__init__()
        discriminators: list[nn.Module] = [ScaleDiscriminator(scale_channels)]
        discriminators += [PeriodDiscriminator(period, period_channels) for period in periods]
        discriminators += [
            ResolutionDiscriminator(*resolution, resolution_channels) for resolution in resolutions
        ]
        self.published = 1 + len(periods)
        """How many of the discriminators a published file knows; they come first."""
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, 1, T) in [-1, 1] -> scores and feature maps of every discriminator."""
        outputs = [discriminator(waveform) for discriminator in self.discriminators]
        return DiscriminatorOutput([scores for scores, _ in outputs], [features for _, features in outputs])
