"""Row by row with a static cache of keys and values: the trunk of `trunk.py` with as few operations as it takes.

Rows of a batch may differ in length: they are aligned at their ends, so that all write the cache at the same place,
and a mask hides what lies before a shorter one. B items, L positions, D channels, H heads, F head channels.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.nn.weight_cache import MadeOnce, Product, Run
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


class _Ways(NamedTuple):
    """The whole network as it runs for a number of rows."""

    blocks: list[_Way]
    norms: tuple[_Norm, _Norm]
    head: Run


class Weights:
    """The network's weights as the loop reads them: in `dtype`, the linear ones in 8 bits if asked for.

    Attributes:
        draft: the same in 8 bits beside them, for guesses, or None.
    """

    def __init__(self, network: IndexTTS2Gpt, *, dtype: torch.dtype, int8: bool, draft: bool = False) -> None:
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
        self.draft = Weights(network, dtype=dtype, int8=True) if draft else None

    def ways(self, caches: list[Tensor], rows: int) -> _Ways:
        """How each product runs for so many rows, beside its block's keys and values."""
        blocks = [
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
                self.blocks, caches, strict=True
            )
        ]
        return _Ways(blocks, self.norms, self.head.for_rows(rows))


_MADE: MadeOnce[Weights] = MadeOnce()


class Decoder:
    """Feeds rows through the trunk and remembers keys and values.

    Args:
        network: in evaluation mode.
        dtype: of weights and cache; None keeps the network's own.
        int8: linear layers in 8 bits, on a CPU only; the rest is float32 then.
        ahead: rows that may be guessed in 8 bits before they are checked together, on a CPU in float32 only.
    """

    def __init__(
        self,
        network: IndexTTS2Gpt,
        *,
        dtype: torch.dtype | None = None,
        int8: bool = False,
        ahead: int = 0,
    ) -> None:
        self.dtype = torch.float32 if int8 else dtype or network.speech.head.weight.dtype
        self.ahead = ahead
        self._weights = _MADE.of(
            network,
            (self.dtype, int8, ahead > 0),
            lambda: Weights(network, dtype=self.dtype, int8=int8, draft=ahead > 0),
        )
        self._heads = network.trunk.heads
        self._cache: list[Tensor] = []
        self._visible: Tensor | None = None
        self._end = 0

    def prefill(self, rows: Tensor, lengths: Tensor, *, steps: int) -> Tensor:
        """Reads the beginning of every row.

        Args:
            rows: (B, L, D), each item's rows at its end, anything before.
            lengths: (B,) rows of each item.
            steps: how many rows may follow; sizes the cache.

        Returns:
            logits after the last row, (B, E) float32, E outputs of the code head.
        """
        count, longest, width = rows.shape
        steps += self.ahead
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
        self._end = 0
        ways = self._weights.ways(self._cache, count * longest)
        hidden = self._through(ways.blocks, rows, mask)
        self._choose_ways(count)
        return self._logits(self._ways, hidden[:, -1])

    def step(self, rows: Tensor, *, draft: bool = False) -> Tensor:
        """One more row an item: (B, D) -> logits (B, E) after it; in 8 bits for a `draft`."""
        count, width = rows.shape
        ways = self._draft_ways if draft else self._ways
        at, end, attend = self._end, self._end + 1, functional.scaled_dot_product_attention
        mask = None if self._visible is None else self._visible[..., :end]
        hidden = rows.to(self.dtype)
        for way in ways.blocks:
            fused = way.qkv(way.norm_attention(hidden)).view(count, 3, self._heads, -1)
            way.cache.select(3, at).copy_(fused[:, 1:].transpose(0, 1))
            keys, values = way.cache.narrow(3, 0, end).unbind(0)
            mixed = attend(fused[:, 0, :, None], keys, values, attn_mask=mask)
            hidden = hidden + way.out(mixed.reshape(count, width))
            inner = functional.gelu(way.up(way.norm_feed(hidden)), approximate="tanh")
            hidden = hidden + way.down(inner)
        self._end = end
        return self._logits(ways, hidden)

    def check(self, rows: Tensor) -> Tensor:
        """Rows (B, S, D), all but the first of them guesses, S <= ahead + 1 -> logits (B, S, E) after each."""
        order = torch.arange(self._end + rows.shape[1], device=rows.device)
        mask = order[self._end :, None] >= order
        if self._visible is not None:
            mask = mask & self._visible[..., : len(order)]
        return self._logits(self._check_ways, self._through(self._check_ways.blocks, rows, mask))

    def back(self, rows: int) -> None:
        """Forgets the last `rows` rows of every item."""
        self._end -= rows

    def keep(self, rows: Tensor) -> None:
        """Forgets all items but these (B',) int64."""
        self._cache = [cache.index_select(1, rows) for cache in self._cache]
        if self._visible is not None:
            self._visible = self._visible[rows]
        self._choose_ways(len(rows))

    def _through(self, blocks: list[_Way], rows: Tensor, mask: Tensor | None) -> Tensor:
        """Rows (B, S, D) that go behind those in the cache -> (B, S, D); no mask: there are none, and it is causal."""
        count, length, width = rows.shape
        at, end = self._end, self._end + length
        hidden = rows.to(self.dtype).reshape(-1, width)
        for way in blocks:
            fused = way.qkv(way.norm_attention(hidden)).view(count, length, 3, self._heads, -1)
            query, key, value = fused.permute(2, 0, 3, 1, 4)
            way.cache[0, :, :, at:end], way.cache[1, :, :, at:end] = key, value
            keys, values = (key, value) if at == 0 else way.cache.narrow(3, 0, end).unbind(0)
            mixed = functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=mask, is_causal=mask is None
            )
            hidden = hidden + way.out(mixed.transpose(1, 2).reshape(-1, width))
            inner = functional.gelu(way.up(way.norm_feed(hidden)), approximate="tanh")
            hidden = hidden + way.down(inner)
        self._end = end
        return hidden.view(count, length, width)

    def _logits(self, ways: _Ways, hidden: Tensor) -> Tensor:
        first, second = ways.norms
        flat = second(first(hidden)).flatten(0, -2)
        return ways.head(flat).float().unflatten(0, hidden.shape[:-1])

    def _choose_ways(self, rows: int) -> None:
        """How each product runs for so many items from now on."""
        self._ways = self._weights.ways(self._cache, rows)
        if self._weights.draft is not None:
            self._draft_ways = self._weights.draft.ways(self._cache, rows)
            self._check_ways = self._weights.ways(self._cache, rows * (self.ahead + 1))
