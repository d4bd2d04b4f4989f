"""What every adversarially trained network here shares: discriminators of a waveform and least-squares losses.

Layers and names are the published ones of HiFi-GAN (Kong et al. 2020), which VITS and DAC took over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1


class DiscriminatorOutput:
    """Scores and feature maps of a batch, from every discriminator.

    Attributes:
        scores: one (B, S_i) a discriminator; 1 is real.
        features: one list of feature maps a discriminator.
    """

    def __init__(self, scores: list[Tensor], features: list[list[Tensor]]) -> None:
        self.scores = scores
        self.features = features

    def halves(self) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        """The outputs of the first and the second half of the batch."""
        half = len(self.scores[0]) // 2
        first = DiscriminatorOutput(
            [s[:half] for s in self.scores], [[f[:half] for f in maps] for maps in self.features]
        )
        second = DiscriminatorOutput(
            [s[half:] for s in self.scores], [[f[half:] for f in maps] for maps in self.features]
        )
        return first, second


class SubDiscriminator(nn.Module):
    """One discriminator: weight-normalized convolutions `convs`, then `conv_post` to the scores."""

    convs: nn.ModuleList
    conv_post: nn.Module

    def score(self, hidden: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Input of the first layer -> scores (B, S) and the feature map of every layer."""
        features = []
        for conv in self.convs:
            hidden = functional.leaky_relu(conv(hidden), SLOPE)
            features.append(hidden)
        hidden = self.conv_post(hidden)
        features.append(hidden)
        return hidden.flatten(1), features


class PeriodDiscriminator(SubDiscriminator):
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
        folded = waveform.unflatten(-1, (-1, self.period))
        return self.score(folded) if waveform.device.type != "cpu" else self._score_side_by_side(folded)

    def _score_side_by_side(self, folded: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, S, P): as `score`, with the columns of all utterances side by side in one wide picture.

        No layer looks across columns, so the numbers are the same. Channels are neighbors in memory, and a CPU makes
        the wide picture in a third of the time in bfloat16 (1024 channels), in nine tenths of it in float32.
        """
        count, _, _, period = folded.shape
        wide = folded.permute(1, 2, 0, 3).flatten(2)[None].contiguous(memory_format=torch.channels_last)
        scores, features = self.score(wide)
        apart = [maps.squeeze(0).unflatten(-1, (count, period)).permute(2, 0, 1, 3) for maps in features]
        return apart[-1].flatten(1), apart


def discriminator_loss(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """Least squares (Mao et al. 2017): real towards 1, fake towards 0, summed over discriminators; ()."""
    return torch.stack(
        [
            (1 - r.float()).square().mean() + f.float().square().mean()
            for r, f in zip(real.scores, fake.scores, strict=True)
        ]
    ).sum()


def adversarial_loss(fake: DiscriminatorOutput) -> Tensor:
    """Fake towards 1, summed over discriminators; ()."""
    return torch.stack([(1 - score.float()).square().mean() for score in fake.scores]).sum()


def feature_loss(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """Mean absolute difference of feature maps, summed over layers and discriminators (Larsen et al. 2016); ()."""
    pairs = [
        (r.detach().float() - f.float()).abs().mean()
        for maps_r, maps_f in zip(real.features, fake.features, strict=True)
        for r, f in zip(maps_r, maps_f, strict=True)
    ]
    return torch.stack(pairs).sum()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradient flows through `module` but not into its parameters, which saves their part of the work."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
