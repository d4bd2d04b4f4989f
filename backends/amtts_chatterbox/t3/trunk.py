"""The Llama trunk: RMSNorm, attention with rotary positions, gated feed-forward; no biases (Touvron et al. 2023).

Query, key and value are one matrix, gate and up another. R rows, L positions, D channels, H heads, F head channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.rope import frequencies, rotate, rotation

INITIAL_DEVIATION = 0.02


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
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden, 2 * config.intermediate, bias=False)
        self.down = nn.Linear(config.intermediate, config.hidden, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(R, L, D) -> (R, L, D)."""
        gate, up = self.gate_up(hidden).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


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


class Trunk(nn.Module):
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

    def turns(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations of positions (..., L): two of (..., L, F), always float32 and never stored."""
        with torch.no_grad():
            return rotation(positions, frequencies(self.config.rope, self.config.head_dim))

    def forward(
        self,
        hidden: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Runs over whole rows.

        Args:
            hidden: (R, L, D).
            positions: (R, L) int64; None counts from 0.
            mask: (R, 1, L, L) bool, true where the key may be seen; None is plain causal.
            watch: told the number and the input (R, L, D) of every block.

        Returns:
            (R, L, D) after the final norm.
        """
        if positions is None:
            positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
        cosine, sine = self.turns(positions)
        turn = cosine[:, None], sine[:, None]
        for number, block in enumerate(self.layers):
            if watch is not None:
                watch(number, hidden)
            hidden = block(hidden, turn, mask)
        return self.norm(hidden)
