"""Row by row with a static cache of keys and values: the trunk of `trunk.py` with as few operations as it takes.

Rows of a batch may differ in length: they are aligned at their ends, so that all write the cache at the same place,
and a mask hides what lies before a shorter one. B items, L positions, D channels, H heads, F head channels.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.synthesis.products import MadeOnce, Product, Run
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.trunk import Block


class _Norm(NamedTuple):
    """A layer norm's gain and bias."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, hidden: Tensor) -> Tensor:
        return functional.layer_norm(hidden, self.weight.shape, self.weight, self.bias, self.eps)


class _Way(NamedTuple):
    """A block as it runs for a number of rows."""

    norm_attention: _Norm
    qkv: Run
    out: Run
    norm_feed: _Norm
    up: Run
    down: Run
    cache: Tensor


class Weights:
    """The network's weights as the loop reads them: in `dtype`, the linear ones in 8 bits if asked for."""

    def __init__(self, network: IndexTTS2Gpt, *, dtype: torch.dtype, int8: bool) -> None:
        def product(linear: nn.Linear) -> Product:
            bias = None if linear.bias is None else linear.bias.detach().to(dtype)
            return Product(linear.weight.detach().to(dtype), bias, int8=int8)

        def norm(part: nn.LayerNorm) -> _Norm:
            return _Norm(part.weight.detach().to(dtype), part.bias.detach().to(dtype), part.eps)

        self.dtype = dtype
        self.blocks = [
            (
                (norm(block.norm_attention), product(block.attention.qkv), product(block.attention.out)),
                (norm(block.norm_feed_forward), product(block.up), product(block.down)),
            )
            for block in cast("list[Block]", list(network.trunk.blocks))
        ]
        self.norms = norm(network.trunk.norm), norm(network.trunk.final_norm)
        self.head = product(network.speech.head)


_MADE: MadeOnce[Weights] = MadeOnce()


class Decoder:
    """Feeds rows through the trunk and remembers keys and values.

    Args:
        network: in evaluation mode.
        dtype: of weights and cache; None keeps the network's own.
        int8: linear layers in 8 bits, on a CPU only; the rest is float32 then.
    """

    def __init__(
        self, network: IndexTTS2Gpt, *, dtype: torch.dtype | None = None, int8: bool = False
    ) -> None:
        self.dtype = torch.float32 if int8 else dtype or network.speech.head.weight.dtype
        self._weights = _MADE.of(
            network, (self.dtype, int8), lambda: Weights(network, dtype=self.dtype, int8=int8)
        )
        self._heads = network.trunk.heads
        self._cache: list[Tensor] = []
        self._ways: list[_Way] = []
        self._visible: Tensor | None = None
        self._end = 0

    def prefill(self, rows: Tensor, lengths: Tensor, *, steps: int) -> Tensor:
        """Reads the beginning of every row.

        Args:
            rows: (B, L, D), each item's rows at its end, anything before.
            lengths: (B,) rows of each item.
            steps: how many rows may follow; sizes the cache.

        Returns:
            what the head sees after the last row, (B, D).
        """
        count, longest, width = rows.shape
        columns = torch.arange(longest + steps, device=rows.device)
        before = (longest - lengths)[:, None].to(rows.device)
        mask = self._visible = None
        if bool((before > 0).any()):
            self._visible = (columns >= before)[:, None, None]  # (B, 1, 1, L + steps)
            order = columns[:longest]
            itself = torch.eye(longest, dtype=torch.bool, device=rows.device)  # padding must see something
            mask = ((order[:, None] >= order) & self._visible[..., :longest]) | itself
        shape = (2, count, self._heads, longest + steps, width // self._heads)
        self._cache = [torch.empty(shape, dtype=self.dtype, device=rows.device) for _ in self._weights.blocks]
        self._end = longest
        self._choose_ways(count * longest)
        hidden = rows.to(self.dtype).reshape(-1, width)
        for way in self._ways:
            fused = way.qkv(way.norm_attention(hidden)).view(count, longest, 3, self._heads, -1)
            query, key, value = fused.permute(2, 0, 3, 1, 4)
            way.cache[0, :, :, :longest], way.cache[1, :, :, :longest] = key, value
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=mask is None
            )
            hidden = hidden + way.out(mixed.transpose(1, 2).reshape(-1, width))
            inner = functional.gelu(way.up(way.norm_feed(hidden)), approximate="tanh")
            hidden = hidden + way.down(inner)
        self._choose_ways(count)
        return self._finished(hidden.view(count, longest, width)[:, -1])

    def step(self, rows: Tensor) -> Tensor:
        """One more row an item: (B, D) -> (B, D) that the head sees after it."""
        count, width = rows.shape
        at, end, attend = self._end, self._end + 1, functional.scaled_dot_product_attention
        mask = None if self._visible is None else self._visible[..., :end]
        hidden = rows.to(self.dtype)
        for way in self._ways:
            fused = way.qkv(way.norm_attention(hidden)).view(count, 3, self._heads, -1)
            way.cache.select(3, at).copy_(fused[:, 1:].transpose(0, 1))
            keys, values = way.cache.narrow(3, 0, end).unbind(0)
            mixed = attend(fused[:, 0, :, None], keys, values, attn_mask=mask)
            hidden = hidden + way.out(mixed.reshape(count, width))
            inner = functional.gelu(way.up(way.norm_feed(hidden)), approximate="tanh")
            hidden = hidden + way.down(inner)
        self._end = end
        return self._finished(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """(B, D) -> (B, E) float32, E outputs of the code head."""
        return self._head(hidden).float()

    def keep(self, rows: Tensor) -> None:
        """Forgets all items but these (B',) int64."""
        self._cache = [cache.index_select(1, rows) for cache in self._cache]
        if self._visible is not None:
            self._visible = self._visible[rows]
        self._choose_ways(len(rows))

    def _choose_ways(self, rows: int) -> None:
        """How each product runs for so many rows, beside its block's keys and values."""
        self._ways = [
            _Way(
                norm_attention,
                qkv.for_rows(rows),
                out.for_rows(rows),
                norm_feed,
                up.for_rows(rows),
                down.for_rows(rows),
                cache,
            )
            for ((norm_attention, qkv, out), (norm_feed, up, down)), cache in zip(
                self._weights.blocks, self._cache, strict=True
            )
        ]
        self._head = self._weights.head.for_rows(rows)

    def _finished(self, hidden: Tensor) -> Tensor:
        first, second = self._weights.norms
        return second(first(hidden))
