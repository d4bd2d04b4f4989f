"""What HiFi-GAN and BigVGAN share: an input convolution, transposed convolutions, residual blocks after each.

Names of modules are the published ones. B items, M mel channels, C channels, L frames, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from amtts_core.errors import AmttsError


@dataclass(frozen=True)
class UpsamplingSizes:
    """Sizes of a generator, as its config.json has them."""

    num_mels: int
    channels: int
    rates: Sequence[int]
    kernels: Sequence[int]
    block_kernels: Sequence[int]
    block_dilations: Sequence[Sequence[int]]
    block: str
    """`1`: each dilated convolution is followed by a plain one; `2`: it is not."""

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return prod(self.rates)

    def require_sound(self, source: object) -> None:
        """Refuses sizes that no network can have.

        Raises:
            AmttsError: says which.
        """
        if len(self.rates) != len(self.kernels) or not self.rates:
            raise AmttsError(
                f"vocoder {source} has {len(self.rates)} upsampling rates and {len(self.kernels)} kernels"
            )
        if len(self.block_kernels) != len(self.block_dilations):
            raise AmttsError(
                f"vocoder {source} has {len(self.block_kernels)} kernels of residual blocks and "
                f"{len(self.block_dilations)} lists of dilations"
            )
        if self.block not in ("1", "2"):
            raise AmttsError(
                f"vocoder {source} has residual blocks of kind '{self.block}', expected '1' or '2'"
            )
        if any(kernel < rate for rate, kernel in zip(self.rates, self.kernels, strict=True)):
            kernels, rates = list(self.kernels), list(self.rates)
            raise AmttsError(
                f"vocoder {source} has upsampling kernels {kernels} shorter than its rates {rates}"
            )

    def context(self, *, activation: int = 0) -> int:
        """Frames on both sides that a sample depends on, at most.

        Args:
            activation: samples on both sides that an activation depends on (anti-aliasing filters).
        """
        reach, scale = 3.0, 1
        for rate, kernel in zip(self.rates, self.kernels, strict=True):
            reach += (kernel / 2 / rate + 1) / scale
            scale *= rate
            blocks = [
                sum((size // 2) * dilation + activation for dilation in dilations)
                + (sum(size // 2 + activation for _ in dilations) if self.block == "1" else 0)
                for size, dilations in zip(self.block_kernels, self.block_dilations, strict=True)
            ]
            reach += max(blocks) / scale
        return int(reach + (3 + activation) / scale) + 2


def upsamplers(sizes: UpsamplingSizes) -> list[nn.ConvTranspose1d]:
    """One transposed convolution a rate; each halves the channels."""
    return [
        nn.ConvTranspose1d(
            sizes.channels // 2**place,
            sizes.channels // 2 ** (place + 1),
            kernel,
            rate,
            padding=(kernel - rate) // 2,
        )
        for place, (rate, kernel) in enumerate(zip(sizes.rates, sizes.kernels, strict=True))
    ]


def block_convolutions(channels: int, kernel: int, dilations: Sequence[int]) -> nn.ModuleList:
    """Convolutions that keep the length."""
    return nn.ModuleList(
        nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)
        for dilation in dilations
    )
