"""The GPT-2 transformer as it is trained; the shared runtime runs the same weights with a cache.

It knows vectors only: what a vector is (speaker latent, text token, code) and where it stands is added before. Items
are packed without gaps, so plain causal attention is exact. B items, T positions, D channels, H heads.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from amtts_core.speech_lm.backend import INITIAL_DEVIATION
from amtts_core.speech_lm.step_model import BlockModules

gelu = partial(functional.gelu, approximate="tanh")
"""GPT-2's activation."""


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(hidden).chunk(3, dim=-1)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and feed-forward, pre-norm and residual."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.norm_feed_forward = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        hidden = hidden + self.dropout(self.attention(self.norm_attention(hidden)))
        return hidden + self.dropout(self.down(gelu(self.up(self.norm_feed_forward(hidden)))))

    def modules_by_role(self) -> BlockModules:
        """For decoding."""
        attention = self.attention
        return BlockModules(
            self.norm_attention, attention.qkv, attention.out, self.norm_feed_forward, self.up, self.down
        )


class Transformer(nn.Module):
    """The blocks and their two final norms, one after the other as published."""

    def __init__(self, *, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.final_norm = nn.LayerNorm(dim)

    def forward(self, vectors: Tensor, *, tap: int | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) -> (B, T, D), and the input of the block of the number `tap`."""
        hidden, tapped = self.dropout(vectors), None
        for number, block in enumerate(self.blocks):
            tapped = hidden if number == tap else tapped
            hidden = block(hidden)
        return self.final_norm(self.norm(hidden)), tapped

    def initialize(self) -> None:
        """As GPT-2: normal 0.02, residual outputs smaller by sqrt(2 x layers), biases zero."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                residual = name.endswith(("attention.out.weight", "down.weight"))
                share = (2 * len(self.blocks)) ** -0.5 if residual else 1.0
                nn.init.normal_(parameter, std=INITIAL_DEVIATION * share)
