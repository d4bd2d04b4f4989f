"""The text encoder: a transformer with relative positions (Shaw et al. 2018) and convolutions for its inner layers.

Tensors are named as in transformers' `VitsTextEncoder`, and the sums run in the same order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_vits.sizes import GeneratorSizes


class RelativeAttention(nn.Module):
    """Self-attention with learned embeddings of the distance, `window_size` symbols to each side."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.num_heads = sizes.num_attention_heads
        self.head_dim = sizes.hidden_size // sizes.num_attention_heads
        self.window_size = sizes.window_size
        self.dropout = sizes.attention_dropout
        width, bias = sizes.hidden_size, sizes.use_bias
        self.k_proj = nn.Linear(width, width, bias=bias)
        self.v_proj = nn.Linear(width, width, bias=bias)
        self.q_proj = nn.Linear(width, width, bias=bias)
        self.out_proj = nn.Linear(width, width, bias=bias)
        self.emb_rel_k = nn.Parameter(torch.empty(1, 2 * sizes.window_size + 1, self.head_dim))
        self.emb_rel_v = nn.Parameter(torch.empty(1, 2 * sizes.window_size + 1, self.head_dim))
        nn.init.normal_(self.emb_rel_k, std=self.head_dim**-0.5)
        nn.init.normal_(self.emb_rel_v, std=self.head_dim**-0.5)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, H) and what is added to scores (B, 1, 1, N), or None -> (B, N, H)."""
        batch, length, width = hidden.shape
        query = self._heads(self.q_proj(hidden) * self.head_dim**-0.5)
        key, value = self._heads(self.k_proj(hidden)), self._heads(self.v_proj(hidden))
        scores = torch.bmm(query, key.transpose(1, 2))
        distances = self._of_distances(self.emb_rel_k, length)
        scores = scores + _to_places(torch.matmul(query, distances.transpose(-2, -1)))
        if mask is not None:
            apart = scores.view(batch, self.num_heads, length, length) + mask
            scores = apart.view(batch * self.num_heads, length, length)
        shares = functional.dropout(functional.softmax(scores, dim=-1), self.dropout, self.training)
        out = torch.bmm(shares, value)
        out = out + torch.matmul(_to_distances(shares), self._of_distances(self.emb_rel_v, length))
        out = out.view(batch, self.num_heads, length, self.head_dim).transpose(1, 2)
        made: Tensor = self.out_proj(out.reshape(batch, length, width))
        return made

    def _heads(self, values: Tensor) -> Tensor:
        """(B, N, H) -> (B x heads, N, H / heads)."""
        batch, length, _ = values.shape
        split = values.view(batch, length, self.num_heads, self.head_dim).transpose(1, 2).contiguous()
        return split.view(batch * self.num_heads, length, self.head_dim)

    def _of_distances(self, table: Tensor, length: int) -> Tensor:
        """(1, 2 N - 1, H / heads): rows of distances -(N - 1) to N - 1, zero outside the window."""
        beyond = max(length - (self.window_size + 1), 0)
        table = functional.pad(table, [0, 0, beyond, beyond])
        start = max((self.window_size + 1) - length, 0)
        return table[:, start : start + 2 * length - 1]


def _to_places(scores: Tensor) -> Tensor:
    """(B, N, 2 N - 1) by distance -> (B, N, N) by place; both are views of one row of numbers, shifted by padding."""
    batch, length, _ = scores.shape
    flat = functional.pad(scores, [0, 1]).view(batch, length * 2 * length)
    flat = functional.pad(flat, [0, length - 1])
    return flat.view(batch, length + 1, 2 * length - 1)[:, :length, length - 1 :]


def _to_distances(shares: Tensor) -> Tensor:
    """(B, N, N) by place -> (B, N, 2 N - 1) by distance."""
    batch, length, _ = shares.shape
    flat = functional.pad(shares, [0, length - 1]).view(batch, length * (2 * length - 1))
    flat = functional.pad(flat, [length, 0])
    return flat.view(batch, length, 2 * length)[:, :, 1:]


class FeedForward(nn.Module):
    """Two convolutions over neighboring symbols."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(sizes.hidden_size, sizes.ffn_dim, sizes.ffn_kernel_size)
        self.conv_2 = nn.Conv1d(sizes.ffn_dim, sizes.hidden_size, sizes.ffn_kernel_size)
        self.dropout = nn.Dropout(sizes.activation_dropout)
        self.padding = [(sizes.ffn_kernel_size - 1) // 2, sizes.ffn_kernel_size // 2]

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(B, N, H), (B, N, 1) -> (B, N, H)."""
        hidden, mask = hidden.permute(0, 2, 1), mask.permute(0, 2, 1)
        hidden = self.conv_1(functional.pad(hidden * mask, self.padding))
        hidden = self.dropout(functional.relu(hidden))
        hidden = self.conv_2(functional.pad(hidden * mask, self.padding)) * mask
        return hidden.permute(0, 2, 1)


class EncoderLayer(nn.Module):
    """Attention and convolutions, each added to what came in and normalized after it."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.attention = RelativeAttention(sizes)
        self.dropout = nn.Dropout(sizes.hidden_dropout)
        self.layer_norm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)
        self.feed_forward = FeedForward(sizes)
        self.final_layer_norm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)

    def forward(self, hidden: Tensor, mask: Tensor, attention_mask: Tensor | None) -> Tensor:
        """(B, N, H), (B, N, 1), what is added to scores -> (B, N, H)."""
        hidden = self.layer_norm(hidden + self.dropout(self.attention(hidden, attention_mask)))
        out: Tensor = self.final_layer_norm(hidden + self.dropout(self.feed_forward(hidden, mask)))
        return out


class Encoder(nn.Module):
    """The layers."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.num_hidden_layers))

    def forward(self, hidden: Tensor, mask: Tensor, attention_mask: Tensor | None) -> Tensor:
        """(B, N, H), (B, N, 1), what is added to scores -> (B, N, H)."""
        hidden = hidden * mask
        for layer in self.layers:
            hidden = layer(hidden, mask, attention_mask)
        return hidden * mask


class TextEncoder(nn.Module):
    """Symbols to what the text says about the latent."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.flow_size = sizes.flow_size
        self.scale = math.sqrt(sizes.hidden_size)
        self.embed_tokens = nn.Embedding(sizes.vocab_size, sizes.hidden_size)
        self.encoder = Encoder(sizes)
        self.project = nn.Conv1d(sizes.hidden_size, 2 * sizes.flow_size, kernel_size=1)

    def forward(self, tokens: Tensor, mask: Tensor, *, alone: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states, means and log standard deviations of the prior.

        Args:
            tokens: (B, N).
            mask: (B, 1, N), 1 at real symbols.
            alone: nothing is padded, so that attention needs no mask.

        Returns:
            (B, H, N), (B, C, N), (B, C, N).
        """
        hidden = self.embed_tokens(tokens) * self.scale
        added = None
        if not alone:
            lowest = torch.finfo(hidden.dtype).min
            added = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(mask == 0, lowest)[:, None]
        hidden = self.encoder(hidden, mask.transpose(1, 2), added).transpose(1, 2)
        mean, log_std = (self.project(hidden) * mask).split(self.flow_size, dim=1)
        return hidden, mean, log_std
