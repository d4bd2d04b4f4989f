"""The critics of VITS: one on the waveform, one for each period of a folded waveform (Kong et al. 2020, HiFi-GAN).

Module names are the published ones (`discriminators.0` the waveform, `discriminators.1` and on the periods), so that
MMS discriminators load. They are written with torch's parametrised weight norm, which can be copied and folded.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from amtts_core.adversarial import Critic, Critique, PeriodCritic


class ScaleCritic(Critic):
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
