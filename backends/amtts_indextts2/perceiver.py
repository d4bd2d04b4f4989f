"""A perceiver resampler (Jaegle et al. 2021): a fixed number of learned latents read a sequence of any length.

B items, N latents of D channels, L context frames of C channels, H heads of 64.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_DIM = 64
DEPTH = 2


class PerceiverLayer(nn.Module):
    """Latents attend to themselves and the context, then a gated feed-forward; both residual, without norms."""

    def __init__(self, dim: int, heads: int, mult: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, heads * HEAD_DIM, bias=False)
        self.key_value = nn.Linear(dim, 2 * heads * HEAD_DIM, bias=False)
        self.out = nn.Linear(heads * HEAD_DIM, dim, bias=False)
        inner = int(dim * mult * 2 / 3)
        self.up = nn.Linear(dim, 2 * inner)
        self.down = nn.Linear(inner, dim)

    def forward(self, latents: Tensor, context: Tensor, visible: Tensor) -> Tensor:
        """latents (B, N, D), context (B, L, D), visible (B, 1, 1, N + L) bool -> (B, N, D)."""
        query = self._split(self.query(latents))
        key, value = (
            self._split(x) for x in self.key_value(torch.cat([latents, context], 1)).chunk(2, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        latents = latents + self.out(mixed.transpose(1, 2).flatten(2))
        value, gate = self.up(latents).chunk(2, dim=-1)
        return latents + self.down(functional.gelu(gate) * value)

    def _split(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(-1, (self.heads, HEAD_DIM)).transpose(1, 2)


class Perceiver(nn.Module):
    """Learned latents, two layers, and a norm to length sqrt(D) with a gain."""

    def __init__(self, dim: int, context_dim: int, *, num_latents: int, heads: int, mult: float) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(num_latents, dim) * 0.02)
        self.context = nn.Linear(context_dim, dim) if context_dim != dim else nn.Identity()
        self.layers = nn.ModuleList(PerceiverLayer(dim, heads, mult) for _ in range(DEPTH))
        self.gain = nn.Parameter(torch.ones(dim))

    def forward(self, context: Tensor, valid: Tensor) -> Tensor:
        """context (B, L, C), valid (B, L) bool -> (B, N, D)."""
        batch, count = len(context), len(self.latents)
        context = self.context(context)
        latents = self.latents.expand(batch, -1, -1)
        visible = torch.cat([valid.new_ones(batch, count), valid], dim=1)[:, None, None]
        for layer in self.layers:
            latents = layer(latents, context, visible)
        return functional.normalize(latents, dim=-1) * latents.shape[-1] ** 0.5 * self.gain
