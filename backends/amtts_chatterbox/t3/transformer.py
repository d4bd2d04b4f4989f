"""The Llama transformer: RMSNorm, attention with rotary positions, gated feed-forward; no biases (Touvron et al. 2023).

Query, key and value are one matrix, gate and up another. R rows, L positions, D channels, H heads, F head channels.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.config import RopeConfig, T3Config
from amtts_core.speech_lm.step_model import BlockModules, rotate


def frequencies(config: RopeConfig, head_dim: int) -> Tensor:
    """Radians per position of each rotated pair, (F / 2,) float32.

    Llama 3 (Meta 2024, `llama3` scaling): wavelengths above `original_positions / low_freq_factor` are stretched by
    `factor`, those below `original_positions / high_freq_factor` stay, and between them the two are mixed linearly
    in the number of turns that the original positions hold.
    """
    # Written so that float32 rounds as in the published inference: an error of 1e-7 here is 1e-4 at position 1000.
    plain = 1.0 / config.theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    turns = config.original_positions / (2 * math.pi / plain)
    low, high = config.low_freq_factor, config.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * plain / config.factor + kept * plain


def rotation(positions: Tensor, freqs: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines: positions (..., L), freqs (F / 2,) -> two of (..., L, F) float32.

    The sines of the first half are negative, so that `rotate` needs no sign.
    """
    angles = positions[..., None].float() * freqs.to(positions.device)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], dim=-1), torch.cat([-sine, sine], dim=-1)


def swiglu(gate_up: Tensor) -> Tensor:
    """(..., 2 I) -> (..., I): silu(gate) x up (Shazeer 2020)."""
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate) * up


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        inner = config.heads * config.head_dim
        self.heads, self.head_dim = config.heads, config.head_dim
        self.qkv = nn.Linear(config.hidden, 3 * inner, bias=False)
        self.out = nn.Linear(inner, config.hidden, bias=False)

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """hidden (R, L, D), turn two of (R, 1, L, F), mask (R, 1, L, L) true where visible; None is causal."""
        rows, length, _ = hidden.shape
        fused = self.qkv(hidden).view(rows, length, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        cosine, sine = (part.to(hidden.dtype) for part in turn)
        query, key = rotate(fused[:2], cosine, sine)
        mixed = functional.scaled_dot_product_attention(
            query, key, fused[2], attn_mask=mask, is_causal=mask is None
        )
        return self.out(mixed.transpose(1, 2).reshape(rows, length, -1))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden, 2 * config.intermediate, bias=False)
        self.down = nn.Linear(config.intermediate, config.hidden, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(R, L, D) -> (R, L, D)."""
        return self.down(swiglu(self.gate_up(hidden)))


class Block(nn.Module):
    """Pre-norm attention and feed-forward, both residual."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.attention = Attention(config)
        self.feed_norm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.feed = FeedForward(config)

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """(R, L, D) -> (R, L, D)."""
        hidden = hidden + self.attention(self.attention_norm(hidden), turn, mask)
        return hidden + self.feed(self.feed_norm(hidden))

    def modules_by_role(self) -> BlockModules:
        """For decoding."""
        attention, feed = self.attention, self.feed
        return BlockModules(
            self.attention_norm, attention.qkv, attention.out, self.feed_norm, feed.gate_up, feed.down
        )


class Transformer(nn.Module):
    """Blocks and a final norm."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden, eps=config.norm_eps)

    @property
    def layers(self) -> list[Block]:
        """The blocks, in order."""
        return cast("list[Block]", list(self.blocks))

    def forward(
        self, hidden: Tensor, *, positions: Tensor, mask: Tensor | None = None, tap: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Runs over whole rows.

        Args:
            hidden: (R, L, D).
            positions: (R, L) int64.
            mask: (R, 1, L, L) bool, true where the key may be seen; None is plain causal.
            tap: number of a block whose input is wanted too.

        Returns:
            (R, L, D) after the final norm, and the tapped input (R, L, D).
        """
        with torch.no_grad():
            cosine, sine = rotation(positions, frequencies(self.config.rope, self.config.head_dim))
        turn, tapped = (cosine[:, None], sine[:, None]), None
        for number, block in enumerate(self.blocks):
            tapped = hidden if number == tap else tapped
            hidden = block(hidden, turn, mask)
        return self.norm(hidden), tapped
