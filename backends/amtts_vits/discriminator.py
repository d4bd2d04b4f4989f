"""The critics of VITS: one on the waveform, one for each period of a folded waveform (Kong et al. 2020, HiFi-GAN).

Module names are the published ones (`discriminators.0` the waveform, `discriminators.1` and on the periods), so that
MMS discriminators load. They are written with torch's parametrised weight norm, which can be copied and folded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1


class Critique:
    """What the critics say about a batch.

    Attributes:
        scores: one (B, S_i) a critic; 1 is real.
        features: one list of feature maps a critic.
    """

    def __init__(self, scores: list[Tensor], features: list[list[Tensor]]) -> None:
        self.scores = scores
        self.features = features

    def halves(self) -> tuple[Critique, Critique]:
        """The critiques of the first and the second half of the batch."""
        half = len(self.scores[0]) // 2
        first = Critique(
            [s[:half] for s in self.scores], [[f[:half] for f in maps] for maps in self.features]
        )
        second = Critique(
            [s[half:] for s in self.scores], [[f[half:] for f in maps] for maps in self.features]
        )
        return first, second


class _Critic(nn.Module):
    convs: nn.ModuleList
    conv_post: nn.Module

    def judge(self, hidden: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for conv in self.convs:
            hidden = functional.leaky_relu(conv(hidden), SLOPE)
            features.append(hidden)
        hidden = self.conv_post(hidden)
        features.append(hidden)
        return hidden.flatten(1), features


class ScaleCritic(_Critic):
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
        return self.judge(waveform)


class PeriodCritic(_Critic):
    """On the waveform folded into rows of `period` samples: convolutions along the columns with stride 3."""

    def __init__(self, period: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        pairs = zip((1, *channels[:-1]), channels, strict=True)
        convs = [nn.Conv2d(before, after, (5, 1), (3, 1), padding=(2, 0)) for before, after in pairs]
        convs.append(nn.Conv2d(channels[-1], channels[-1], (5, 1), 1, padding=(2, 0)))
        self.convs = nn.ModuleList(weight_norm(conv) for conv in convs)
        self.conv_post = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), 1, padding=(1, 0)))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S) and feature maps."""
        missing = -waveform.shape[-1] % self.period
        if missing:
            waveform = functional.pad(waveform, (0, missing), mode="reflect")
        return self.judge(waveform.unflatten(-1, (-1, self.period)))


class Discriminator(nn.Module):
    """All critics together.

    Args:
        periods: of the period critics.
        period_channels: channels of their strided layers.
        scale_channels: channels of the critic on the waveform, without its input.
    """

    def __init__(
        self, *, periods: Sequence[int], period_channels: Sequence[int], scale_channels: Sequence[int]
    ) -> None:
        super().__init__()
        critics: list[nn.Module] = [ScaleCritic(scale_channels)]
        critics += [PeriodCritic(period, period_channels) for period in periods]
        self.discriminators = nn.ModuleList(critics)

    def forward(self, waveform: Tensor) -> Critique:
        """(B, 1, T) in [-1, 1] -> scores and feature maps of every critic."""
        judged = [critic(waveform) for critic in self.discriminators]
        return Critique([scores for scores, _ in judged], [features for _, features in judged])


def discriminator_loss(real: Critique, fake: Critique) -> Tensor:
    """Least squares (Mao et al. 2017): real towards 1, fake towards 0, summed over critics; ()."""
    return torch.stack(
        [
            (1 - r.float()).square().mean() + f.float().square().mean()
            for r, f in zip(real.scores, fake.scores, strict=True)
        ]
    ).sum()


def adversarial_loss(fake: Critique) -> Tensor:
    """Fake towards 1, summed over critics; ()."""
    return torch.stack([(1 - score.float()).square().mean() for score in fake.scores]).sum()


def feature_loss(real: Critique, fake: Critique) -> Tensor:
    """Mean absolute difference of feature maps, summed over layers and critics (Larsen et al. 2016); ()."""
    pairs = [
        (r.detach().float() - f.float()).abs().mean()
        for maps_r, maps_f in zip(real.features, fake.features, strict=True)
        for r, f in zip(maps_r, maps_f, strict=True)
    ]
    return torch.stack(pairs).sum()
