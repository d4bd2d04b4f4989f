"""Token by token with a static cache of keys and values: the trunk of `trunk.py` with as few operations as it takes.

Rows may differ in length: they are aligned at their ends, so that every row writes the cache at the same place, and
a mask hides what lies before a shorter row. R rows, L positions, D channels, H heads, F head channels, V tokens.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.rope import rotate
from amtts_core.nn.weight_cache import MadeOnce, Product, Run


class _Block(NamedTuple):
    """Weights of one block."""

    attention_norm: Tensor
    qkv: Product
    out: Product
    feed_norm: Tensor
    gate_up: Product
    down: Product


class _Way(NamedTuple):
    """A block as it runs for a number of rows."""

    attention_norm: Tensor
    qkv: Run
    out: Run
    feed_norm: Tensor
    gate_up: Run
    down: Run
    cache: Tensor


class Weights:
    """The network's weights as the loop reads them, in `dtype`; in the network's own they share its tensors."""

    def __init__(self, network: T3, *, dtype: torch.dtype, head_rows: int) -> None:
        def cast(weight: Tensor) -> Tensor:
            return weight.detach().to(dtype)

        self.dtype = dtype
        self.blocks = [
            _Block(
                cast(block.attention_norm.weight),
                Product(cast(block.attention.qkv.weight)),
                Product(cast(block.attention.out.weight)),
                cast(block.feed_norm.weight),
                Product(cast(block.feed.gate_up.weight)),
                Product(cast(block.feed.down.weight)),
            )
            for block in network.trunk.layers
        ]
        self.norm = cast(network.trunk.norm.weight)
        self.head = Product(cast(network.speech_head.weight[: head_rows or None]))


_MADE: MadeOnce[Weights] = MadeOnce()


class Decoder:
    """Feeds vectors through the trunk and remembers keys and values.

    Args:
        network: in evaluation mode.
        dtype: of weights and cache; None keeps the network's own.
        head_rows: how many rows of the speech head to compute; 0 computes all.
    """

    def __init__(self, network: T3, *, dtype: torch.dtype | None = None, head_rows: int = 0) -> None:
        config = network.config
        self.dtype = dtype or network.speech_head.weight.dtype
        self._weights = _MADE.of(
            network,
            (self.dtype, head_rows),
            lambda: Weights(network, dtype=self.dtype, head_rows=head_rows),
        )
        self._heads, self._head_dim, self._width = config.heads, config.head_dim, config.hidden
        # x / sqrt(mean(x^2) + eps) = x sqrt(D) / hypot(|x|, sqrt(D eps)): two operations in place of six
        self._root = math.sqrt(config.hidden)
        self._floor = torch.tensor(
            math.sqrt(config.hidden * config.norm_eps), device=self._weights.norm.device
        )
        self._trunk = network.trunk
        self._cache: list[Tensor] = []
        self._ways: list[_Way] = []
        self._turns: tuple[Tensor, Tensor] | None = None
        self._visible: Tensor | None = None
        self._end = 0

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
        self._cache = [torch.empty(shape, dtype=self.dtype, device=rows.device) for _ in self._weights.blocks]
        self._end = longest
        cosine, sine = (part[:, None, :longest] for part in self._turns)
        hidden = rows.to(self.dtype)
        for block, cache in zip(self._weights.blocks, self._cache, strict=True):
            fused = functional.linear(self._normed(hidden, block.attention_norm), block.qkv.weight)
            fused = fused.view(count, longest, 3, self._heads, self._head_dim)
            query, key, value = fused.permute(2, 0, 3, 1, 4)
            key = rotate(key, cosine, sine)
            cache[0, :, :, :longest], cache[1, :, :, :longest] = key, value
            mixed = functional.scaled_dot_product_attention(
                rotate(query, cosine, sine), key, value, attn_mask=mask, is_causal=mask is None
            )
            mixed = mixed.transpose(1, 2).reshape(count, longest, -1)
            hidden = hidden + functional.linear(mixed, block.out.weight)
            gated = functional.linear(self._normed(hidden, block.feed_norm), block.gate_up.weight)
            gate, up = gated.chunk(2, dim=-1)
            hidden = hidden + functional.linear(functional.silu(gate).mul_(up), block.down.weight)
        self._choose_ways(count)
        return self._logits(hidden[:, -1])

    def _choose_ways(self, rows: int) -> None:
        """How each product runs for so many rows, beside its block's keys and values."""
        self._ways = [
            _Way(
                block.attention_norm,
                block.qkv.for_rows(rows),
                block.out.for_rows(rows),
                block.feed_norm,
                block.gate_up.for_rows(rows),
                block.down.for_rows(rows),
                cache,
            )
            for block, cache in zip(self._weights.blocks, self._cache, strict=True)
        ]
        self._head = self._weights.head.for_rows(rows)

    def step(self, vectors: Tensor) -> Tensor:
        """One more vector a row: (R, D) -> logits (R, V) float32 after it."""
        assert self._turns is not None, "prefill comes first"
        count, at, end = len(vectors), self._end, self._end + 1
        heads, size, attend = self._heads, self._head_dim, functional.scaled_dot_product_attention
        cosine, sine = (part[:, at, None, None] for part in self._turns)  # (R, 1, 1, F)
        mask = None if self._visible is None else self._visible[..., :end]
        hidden = vectors.to(self.dtype)
        for way in self._ways:
            fused = way.qkv(self._normed(hidden, way.attention_norm)).view(count, 3, heads, size)
            turning = fused[:, :2]
            swapped = turning.roll(size // 2, dims=-1)
            turning.mul_(cosine).addcmul_(swapped, sine)
            way.cache.select(3, at).copy_(fused[:, 1:].transpose(0, 1))
            keys, values = way.cache.narrow(3, 0, end).unbind(0)
            mixed = attend(fused[:, 0, :, None], keys, values, attn_mask=mask)
            hidden = hidden + way.out(mixed.reshape(count, heads * size))
            gate, up = way.gate_up(self._normed(hidden, way.feed_norm)).chunk(2, dim=-1)
            hidden = hidden + way.down(functional.silu(gate).mul_(up))
        self._end = end
        return self._logits(hidden)

    def keep(self, rows: Tensor) -> None:
        """Forgets all rows but these (R',) int64."""
        self._cache = [cache.index_select(1, rows) for cache in self._cache]
        if self._turns is not None:
            self._turns = self._turns[0][rows], self._turns[1][rows]
        if self._visible is not None:
            self._visible = self._visible[rows]
        self._choose_ways(len(rows))

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm over the channels."""
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=torch.float32)
        share = self._root / torch.hypot(length, self._floor)
        return hidden * share.to(hidden.dtype) * weight

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._head(self._normed(hidden, self._weights.norm)).float()
