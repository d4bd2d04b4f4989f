"""Token by token with a static cache of keys and values: the trunk of `trunk.py` with as few operations as it takes.

Rows may differ in length: they are aligned at their ends, so that every row writes the cache at the same place, and
a mask hides what lies before a shorter row. R rows, L positions, D channels, H heads, F head channels, V tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.rope import rotate

TALL = 12
"""From so many rows on, float32 on a CPU is faster with the weights on the left (measured: 1.5 times at 16 rows)."""


class _Block(NamedTuple):
    """Weights of one block."""

    attention_norm: Tensor
    qkv: Tensor
    out: Tensor
    feed_norm: Tensor
    gate_up: Tensor
    down: Tensor


class Decoder:
    """Feeds vectors through the trunk and remembers keys and values.

    Args:
        network: in evaluation mode.
        dtype: of weights and cache; None keeps the network's own and shares its tensors.
        head_rows: how many rows of the speech head to compute; 0 computes all.
    """

    def __init__(self, network: T3, *, dtype: torch.dtype | None = None, head_rows: int = 0) -> None:
        config = network.config
        self.dtype = dtype or network.speech_head.weight.dtype
        self._heads, self._head_dim, self._width = config.heads, config.head_dim, config.hidden
        self._eps = config.norm_eps
        self._trunk = network.trunk
        self._blocks = [
            _Block(
                self._cast(block.attention_norm.weight),
                self._cast(block.attention.qkv.weight),
                self._cast(block.attention.out.weight),
                self._cast(block.feed_norm.weight),
                self._cast(block.feed.gate_up.weight),
                self._cast(block.feed.down.weight),
            )
            for block in network.trunk.layers
        ]
        self._norm = self._cast(network.trunk.norm.weight)
        self._head = self._cast(network.speech_head.weight[: head_rows or None])
        self._cache: list[Tensor] = []
        self._turns: tuple[Tensor, Tensor] | None = None
        self._visible: Tensor | None = None
        self._end = 0

    def _cast(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self.dtype)

    def prefill(self, rows: Tensor, lengths: Tensor, *, steps: int) -> Tensor:
        """Reads the beginning of every row.

        Args:
            rows: (R, L, D), each row's vectors at its end, zeros before.
            lengths: (R,) vectors of each row.
            steps: how many tokens may follow; sizes the cache.

        Returns:
            logits (R, V) float32 after the last vector.
        """
        count, longest, _ = rows.shape
        total = longest + steps
        before = (longest - lengths)[:, None].to(rows.device)  # (R, 1)
        columns = torch.arange(total, device=rows.device)
        cosine, sine = self._trunk.turns((columns - before).clamp(min=0))  # (R, L + steps, F)
        self._turns = cosine.to(self.dtype), sine.to(self.dtype)
        mask = self._visible = None
        if bool((before > 0).any()):
            self._visible = (columns >= before)[:, None, None]  # (R, 1, 1, L + steps)
            order = columns[:longest]
            causal = order[:, None] >= order
            # What lies before a row sees itself, or its softmax would be NaN and NaN x 0 spoil the rest.
            mask = (causal & self._visible[..., :longest]) | torch.eye(
                longest, dtype=torch.bool, device=rows.device
            )
        shape = (2, count, self._heads, total, self._head_dim)
        self._cache = [torch.empty(shape, dtype=self.dtype, device=rows.device) for _ in self._blocks]
        self._end = longest
        cosine, sine = (part[:, None, :longest] for part in self._turns)
        hidden = rows.to(self.dtype)
        for block, cache in zip(self._blocks, self._cache, strict=True):
            fused = functional.linear(self._normed(hidden, block.attention_norm), block.qkv)
            fused = fused.view(count, longest, 3, self._heads, self._head_dim)
            query, key, value = fused.permute(2, 0, 3, 1, 4)
            key = rotate(key, cosine, sine)
            cache[0, :, :, :longest], cache[1, :, :, :longest] = key, value
            mixed = functional.scaled_dot_product_attention(
                rotate(query, cosine, sine), key, value, attn_mask=mask, is_causal=mask is None
            )
            hidden = hidden + functional.linear(mixed.transpose(1, 2).reshape(count, longest, -1), block.out)
            gated = _gated(functional.linear(self._normed(hidden, block.feed_norm), block.gate_up))
            hidden = hidden + functional.linear(gated, block.down)
        return self._logits(hidden[:, -1])

    def step(self, vectors: Tensor) -> Tensor:
        """One more vector a row: (R, D) -> logits (R, V) float32 after it."""
        assert self._turns is not None, "prefill comes first"
        count, at, end = len(vectors), self._end, self._end + 1
        cosine, sine = (part[:, at, None, None] for part in self._turns)  # (R, 1, 1, F)
        mask = None if self._visible is None else self._visible[..., :end]
        hidden = vectors.to(self.dtype)
        product = _product_for(hidden)
        for block, cache in zip(self._blocks, self._cache, strict=True):
            fused = product(self._normed(hidden, block.attention_norm), block.qkv).view(
                count, 3, self._heads, self._head_dim
            )
            turned = rotate(fused[:, :2], cosine, sine)
            cache[0, :, :, at] = turned[:, 1]
            cache[1, :, :, at] = fused[:, 2]
            keys, values = cache[:, :, :, :end]
            mixed = functional.scaled_dot_product_attention(
                turned[:, 0, :, None], keys, values, attn_mask=mask
            )
            hidden = hidden + product(mixed.reshape(count, -1), block.out)
            gated = _gated(product(self._normed(hidden, block.feed_norm), block.gate_up))
            hidden = hidden + product(gated, block.down)
        self._end = end
        return self._logits(hidden)

    def keep(self, rows: Tensor) -> None:
        """Forgets all rows but these (R',) int64."""
        self._cache = [cache.index_select(1, rows) for cache in self._cache]
        if self._turns is not None:
            self._turns = self._turns[0][rows], self._turns[1][rows]
        if self._visible is not None:
            self._visible = self._visible[rows]

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(hidden, (self._width,), weight, self._eps)

    def _logits(self, hidden: Tensor) -> Tensor:
        return _product_for(hidden)(self._normed(hidden, self._norm), self._head).float()


def _gated(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate).mul_(up)


def _product_for(vectors: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The fastest `linear` for vectors (R, D) of this number, kind and place."""
    if vectors.device.type != "cpu":
        return functional.linear
    if vectors.dtype == torch.bfloat16:  # 1.4 times as fast as `linear` at full size
        return _tall_product if len(vectors) > 1 else _single_product
    return _tall_product if len(vectors) >= TALL else functional.linear


def _tall_product(vectors: Tensor, weight: Tensor) -> Tensor:
    """`linear` of (R, D) and (E, D) -> (R, E), computed with the weight on the left."""
    return torch.mm(weight, vectors.t()).t().contiguous()


def _single_product(vectors: Tensor, weight: Tensor) -> Tensor:
    """`linear` of (1, D) and (E, D) -> (1, E)."""
    return torch.mv(weight, vectors[0])[None]
