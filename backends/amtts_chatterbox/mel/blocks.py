"""Convolution blocks of encoder, decoder and predictors. B items, L places, H hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Module):
    """Pre-norm depthwise convolution and a pointwise bottleneck, residual (as in ConvNeXt, Liu et al. 2022)."""

    def __init__(self, channels: int, *, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, L, H), mask (B, L, 1) -> (B, L, H), zero where masked."""
        mixed = self.depthwise((self.norm(hidden) * mask).transpose(1, 2)).transpose(1, 2)
        inner = functional.silu(self.widen(mixed))
        if (
            self.training and self.dropout.p
        ):  # whole channels: a draw an utterance and channel, not one a number
            inner = inner * self.dropout(torch.ones_like(inner[:, :1].transpose(1, 2))).transpose(1, 2)
        return (hidden + self.narrow(inner)) * mask


class ConvStack(nn.Module):
    """Blocks of one width."""

    def __init__(self, channels: int, *, layers: int, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvBlock(channels, kernel=kernel, expansion=expansion, dropout=dropout) for _ in range(layers)
        )

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, L, H), mask (B, L, 1) -> (B, L, H)."""
        for block in self.blocks:
            hidden = block(hidden, mask)
        return hidden
