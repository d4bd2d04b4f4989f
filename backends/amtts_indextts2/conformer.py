"""The conformer that reads conditioning frames, as IndexTTS2 took it from WeNet, without its leak through padding.

B items, T frames of w2v-bert (50 Hz), L = (T - 3) // 2 + 1 frames after subsampling, C channels, H heads. In the
published code the bias of a convolution leaks from padded frames into real ones; here padded frames are zero wherever
a convolution looks, so an item's result does not depend on its batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_indextts2.config import FEATURE_SIZE, ConformerConfig

KERNEL = 15
"""Frames that the depthwise convolution sees."""


class PositionAttention(nn.Module):
    """Self-attention with sinusoid keys beside the content keys (Dai et al. 2019), without the relative shift."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.position = nn.Linear(channels, channels, bias=False)
        self.bias_content = nn.Parameter(torch.zeros(heads, channels // heads))
        self.bias_position = nn.Parameter(torch.zeros(heads, channels // heads))

    def forward(self, hidden: Tensor, positions: Tensor, valid: Tensor) -> Tensor:
        """hidden (B, L, C), positions (L, C), valid (B, L) bool -> (B, L, C)."""
        query = self._split(self.query(hidden))
        content = (query + self.bias_content[:, None]) @ self._split(self.key(hidden)).transpose(2, 3)
        place = (query + self.bias_position[:, None]) @ self._split(self.position(positions)[None]).transpose(
            2, 3
        )
        score = (content + place) / math.sqrt(query.shape[-1])
        weight = score.masked_fill(~valid[:, None, None], float("-inf")).softmax(dim=-1)
        mixed = weight @ self._split(self.value(hidden))
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, tensor: Tensor) -> Tensor:
        """(B, L, C) -> (B, H, L, C / H)."""
        return tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise and pointwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv1d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.narrow = nn.Conv1d(channels, channels, 1)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, L, C), mask (B, L, 1) -> (B, L, C), zero where masked."""
        gated = functional.glu(self.widen(hidden.transpose(1, 2)), dim=1) * mask.transpose(1, 2)
        mixed = functional.silu(self.norm(self.depthwise(gated).transpose(1, 2)))
        return self.narrow(mixed.transpose(1, 2)).transpose(1, 2) * mask


class FeedForward(nn.Module):
    """Two linear layers around SiLU."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(channels, inner)
        self.down = nn.Linear(inner, channels)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        return self.down(functional.silu(self.up(hidden)))


class ConformerBlock(nn.Module):
    """Attention, convolution, feed-forward, each pre-norm and residual, and a norm after all."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        channels = config.output_size
        self.attention = PositionAttention(channels, config.attention_heads)
        self.convolution = ConvolutionModule(channels)
        self.feed_forward = FeedForward(channels, config.linear_units)
        self.norm_attention = nn.LayerNorm(channels)
        self.norm_convolution = nn.LayerNorm(channels)
        self.norm_feed_forward = nn.LayerNorm(channels)
        self.norm_final = nn.LayerNorm(channels)

    def forward(self, hidden: Tensor, positions: Tensor, valid: Tensor) -> Tensor:
        """hidden (B, L, C), positions (L, C), valid (B, L) -> (B, L, C)."""
        hidden = hidden + self.attention(self.norm_attention(hidden), positions, valid)
        hidden = hidden + self.convolution(self.norm_convolution(hidden), valid[..., None].to(hidden.dtype))
        hidden = hidden + self.feed_forward(self.norm_feed_forward(hidden))
        return self.norm_final(hidden)


class Conformer(nn.Module):
    """Subsampling by two, then blocks."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        channels = config.output_size
        self.subsample = nn.Conv2d(1, channels, 3, stride=2)
        self.project = nn.Linear(channels * ((FEATURE_SIZE - 3) // 2 + 1), channels)
        self.blocks = nn.ModuleList(ConformerBlock(config) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(channels)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, T, 1024), T at least 3, lengths (B,) frames -> (B, L, C) and which of them are real (B, L)."""
        maps = functional.relu(self.subsample(features[:, None]))  # (B, C, L, 511)
        hidden = self.project(maps.transpose(1, 2).flatten(2)) * math.sqrt(maps.shape[1])
        whole = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        valid = whole[:, 2::2][:, : hidden.shape[1]]  # a frame is real where the last one it sees is
        positions = sinusoids(hidden.shape[1], hidden.shape[2]).to(hidden)
        for block in self.blocks:
            hidden = block(hidden, positions, valid)
        return self.norm(hidden), valid


def sinusoids(length: int, channels: int) -> Tensor:
    """(length, channels) float32: sine in even, cosine in odd channels (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, channels, 2, dtype=torch.float32) * (-math.log(10000.0) / channels))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
