"""A generative decoder: noise around the decoder's mel flows to a mel with the fine structure that regression blurs.

Conditional flow matching (Lipman et al. 2023) as in Matcha-TTS (Mehta et al. 2024). The straight path begins at the mel
that regression gives plus noise and not at noise alone, so a few Euler steps do.
B items, L frames, H hidden, M mel channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.mel.config import ChatterboxMelConfig

NOISE_FRAMES = 8192
"""Frames of noise that seeds choose from."""
TIMES = 32
"""Channels of the sinusoids of the time."""


@lru_cache(maxsize=2)
def noise_table(channels: int) -> Tensor:
    """Normal noise (NOISE_FRAMES, channels), the same in every process."""
    generator = torch.Generator().manual_seed(20261201)
    return torch.randn(NOISE_FRAMES, channels, generator=generator)


def noise_of(seeds: Sequence[int], frames: int, channels: int) -> Tensor:
    """Noise (B, frames, channels) of each seed; a frame's noise does not depend on what is spoken beside it."""
    at = torch.tensor([seed * 40503 % NOISE_FRAMES for seed in seeds])[:, None] + torch.arange(frames)
    return noise_table(channels)[at % NOISE_FRAMES]


class TimedBlock(nn.Module):
    """ConvNeXt block (Liu et al. 2022) whose normalized input is scaled and shifted by the time.

    All blocks share one projection of the time and add to it what is their own (PixArt, Chen et al. 2024).
    """

    def __init__(self, channels: int, *, kernel: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.modulation = nn.Parameter(torch.zeros(2 * channels))
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)

    def forward(self, hidden: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, L, H), time (B, 1, 2 H), mask (B, L, 1) -> (B, L, H)."""
        mixed = self.norm(self.depthwise(hidden.transpose(1, 2)).transpose(1, 2))
        scale, shift = (time + self.modulation).chunk(2, dim=-1)
        inner = functional.silu(self.widen(mixed * (1 + scale) + shift))
        return (hidden + self.narrow(inner)) * mask


class FlowDecoder(nn.Module):
    """The velocity of the flow.

    Args:
        config: sizes.
        conditions: channels of what it is conditioned on.
    """

    def __init__(self, config: ChatterboxMelConfig, *, conditions: int) -> None:
        super().__init__()
        own, channels = config.flow, config.mel.n_mels
        self.scale = own.scale
        self.enter = nn.Linear(channels, own.hidden)
        self.condition = nn.Linear(conditions, own.hidden)
        self.time = nn.Sequential(
            nn.Linear(TIMES, own.hidden), nn.SiLU(), nn.Linear(own.hidden, 2 * own.hidden)
        )
        self.blocks = nn.ModuleList(
            TimedBlock(own.hidden, kernel=own.kernel, expansion=own.expansion) for _ in range(own.layers)
        )
        self.norm = nn.LayerNorm(own.hidden)
        self.leave = nn.Linear(own.hidden, channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def velocity(self, place: Tensor, time: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """Where the flow moves.

        Args:
            place: (B, L, M) in units of `scale` around the decoder's mel.
            time: (B,) in [0, 1].
            condition: (B, L, H), from `condition`.
            mask: (B, L, 1).
        """
        rates = torch.exp(
            torch.arange(TIMES // 2, device=time.device) * (math.log(1000.0) / (TIMES // 2 - 1))
        )
        angle = time[:, None] * rates
        step = self.time(torch.cat([angle.sin(), angle.cos()], dim=-1))[:, None]
        hidden = (self.enter(place) + condition) * mask
        for block in self.blocks:
            hidden = block(hidden, step, mask)
        velocity: Tensor = self.leave(self.norm(hidden)) * mask
        return velocity

    def loss(
        self, target: Tensor, mel: Tensor, conditions: Tensor, mask: Tensor, noise: Tensor, time: Tensor
    ) -> Tensor:
        """Mean squared error of the velocity.

        Args:
            target: (B, L, M) normalized mel of the recordings.
            mel: (B, L, M) the decoder's, through which no gradient flows.
            conditions: (B, L, C).
            mask: (B, L, 1).
            noise: (B, L, M) standard normal.
            time: (B,) in [0, 1].
        """
        end = (target - mel.detach()) / self.scale
        at = time[:, None, None]
        found = self.velocity((1 - at) * noise + at * end, time, self.condition(conditions), mask)
        return ((found.float() - (end - noise)).square() * mask).sum() / (mask.sum() * target.shape[2])

    def sample(self, mel: Tensor, conditions: Tensor, mask: Tensor, noise: Tensor, *, steps: int) -> Tensor:
        """The normalized mel (B, L, M) that Euler steps lead to from the decoder's `mel` plus `noise`."""
        condition = self.condition(conditions)
        place = noise * mask
        for number in range(steps):
            time = torch.full((len(mel),), number / steps, device=mel.device)
            place = place + self.velocity(place, time, condition, mask) / steps
        return (mel + self.scale * place) * mask
