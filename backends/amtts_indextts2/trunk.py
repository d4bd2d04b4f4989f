"""The GPT-2 trunk, with and without a cache of keys and values.

It knows rows of numbers only: what a row is (speaker latent, text token, code) and where it stands is added before.
Sequences are packed without gaps, so plain causal attention is exact in training; a batch that is decoded together
is padded at the front and masked. B items, T rows, D channels, H heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL_DEVIATION = 0.02
"""Of the weights of a new network, as GPT-2."""


@dataclass
class Cache:
    """Keys and values of a decoding, allocated once.

    Attributes:
        keys, values: (layers, B, H, capacity, D / H).
        length: rows that are filled.
        visible: (B, capacity) bool, False for padding at the front; None where no item has any.
    """

    keys: Tensor
    values: Tensor
    length: int = 0
    visible: Tensor | None = None

    @property
    def capacity(self) -> int:
        """Rows there is room for."""
        return self.keys.shape[3]


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor, cache: Cache | None, layer: int) -> Tensor:
        """(B, T, D) -> (B, T, D); with a cache the rows follow those already in it."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(hidden).chunk(3, dim=-1)
        )
        if cache is None:
            dropout = self.dropout if self.training else 0.0
            mixed = functional.scaled_dot_product_attention(
                query, key, value, dropout_p=dropout, is_causal=True
            )
        else:
            start, end = cache.length, cache.length + hidden.shape[1]
            cache.keys[layer, :, :, start:end] = key
            cache.values[layer, :, :, start:end] = value
            mixed = functional.scaled_dot_product_attention(
                query,
                cache.keys[layer, :, :, :end],
                cache.values[layer, :, :, :end],
                attn_mask=_visible(cache, start, end),
            )
        return self.out(mixed.transpose(1, 2).flatten(2))


def _visible(cache: Cache, start: int, end: int) -> Tensor | None:
    """Which keys rows start..end may see: (1 or B, 1, end - start, end) bool; None where all may."""
    if end - start == 1:
        return None if cache.visible is None else cache.visible[:, None, None, :end]
    device = cache.keys.device
    own = torch.ones(end - start, end, dtype=torch.bool, device=device).tril(diagonal=start)[None, None]
    if cache.visible is None:
        return own
    itself = torch.eye(end, dtype=torch.bool, device=device)[start:]  # a padding row must see something
    return (own & cache.visible[:, None, None, :end]) | itself


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

    def forward(self, hidden: Tensor, cache: Cache | None, layer: int) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        hidden = hidden + self.dropout(self.attention(self.norm_attention(hidden), cache, layer))
        inner = functional.gelu(self.up(self.norm_feed_forward(hidden)), approximate="tanh")
        return hidden + self.dropout(self.down(inner))


class Trunk(nn.Module):
    """The blocks and their two final norms, one after the other as published."""

    def __init__(self, *, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.final_norm = nn.LayerNorm(dim)

    def forward(
        self,
        rows: Tensor,
        cache: Cache | None = None,
        *,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D); a given cache is filled and its length moved.

        `watch` is told the number and the input of every block.
        """
        hidden = self.dropout(rows)
        for layer, block in enumerate(self.blocks):
            if watch is not None:
                watch(layer, hidden)
            hidden = block(hidden, cache, layer)
        if cache is not None:
            cache.length += rows.shape[1]
        return self.final_norm(self.norm(hidden))

    def new_cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache for `capacity` rows, of the trunk's type and device."""
        like = self.norm.weight
        shape = (len(self.blocks), batch, self.heads, capacity, like.shape[0] // self.heads)
        return Cache(like.new_zeros(shape), like.new_zeros(shape))

    def initialize(self) -> None:
        """As GPT-2: normal 0.02, residual outputs smaller by sqrt(2 x layers), biases zero."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                residual = name.endswith(("attention.out.weight", "down.weight"))
                nn.init.normal_(
                    parameter,
                    std=INITIAL_DEVIATION / (2 * len(self.blocks)) ** 0.5 if residual else INITIAL_DEVIATION,
                )
