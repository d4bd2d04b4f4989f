"""A transformer one step at a time, with a static cache of keys and values: as few operations as it takes.

The network names its modules (`DecoderModules`); what it is fed (text, codes, a voice) is decided elsewhere. Items of a
batch may differ in length: they are aligned at their ends, so that all write the cache at the same place, and a mask
hides what lies before a shorter one. R rows (items, twice as many with guidance), L positions, D channels, H heads, F
channels of a head, E outputs of the head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.speech_lm.kernels import MANY, Attend, CachedLinear, Kernel, attention_kernel, layer_kernels

Norm = Callable[[Tensor], Tensor]
Rotation = Callable[[Tensor], "tuple[Tensor, Tensor]"]
"""Positions (..., L) -> cosines and sines (..., L, F); the sines of the first half are negative."""


class BlockModules(NamedTuple):
    """A pre-norm block: attention, then feed-forward, both residual. Norms are LayerNorm or RMSNorm."""

    attention_norm: nn.Module
    qkv: nn.Linear
    out: nn.Linear
    feed_norm: nn.Module
    up: nn.Linear
    down: nn.Linear


@dataclass(frozen=True, kw_only=True)
class DecoderModules:
    """A decoder-only transformer by its parts.

    Attributes:
        blocks: in order.
        norms: after the last block, one after the other.
        head: of the codes.
        head_rows: outputs of the head that are wanted; 0 wants all.
        heads: attention heads H.
        activation: what stands between `up` and `down`.
        rotation: of rotary positions; None where positions are added to the input.
    """

    blocks: Sequence[BlockModules]
    norms: Sequence[nn.Module]
    head: nn.Linear
    head_rows: int = 0
    heads: int
    activation: Callable[[Tensor], Tensor]
    rotation: Rotation | None = None


class StepNetwork(Protocol):
    """A network that can be run step by step."""

    def decoder_modules(self) -> DecoderModules:
        """Its transformer and the head of its codes."""
        ...


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), half-split: channel i turns with channel i + F / 2; heads (..., L, F)."""
    return heads * cosine + heads.roll(heads.shape[-1] // 2, dims=-1) * sine


class _Block(NamedTuple):
    attention_norm: Norm
    qkv: CachedLinear
    out: CachedLinear
    feed_norm: Norm
    up: CachedLinear
    down: CachedLinear


class _LayerKernels(NamedTuple):
    """A block as it runs for a number of rows, beside its cache (2, R, H, T, F)."""

    attention_norm: Norm
    qkv: Kernel
    out: Kernel
    feed_norm: Norm
    up: Kernel
    down: Kernel
    cache: Tensor


class DecoderWeights:
    """The weights of a decoder in one precision; in the network's own they share its tensors.

    Args:
        modules: the network's.
        dtype: of weights and cache.
        int8: linear layers in 8 bits, the rest in `dtype`; on a CPU only.
    """

    def __init__(self, modules: DecoderModules, *, dtype: torch.dtype, int8: bool = False) -> None:
        self._modules = None if int8 else modules
        self.dtype, self.int8, self.heads = dtype, int8, modules.heads
        self.activation, self.rotation = modules.activation, modules.rotation

        def linear(module: nn.Linear, rows: int = 0) -> CachedLinear:
            weight, bias = module.weight, module.bias
            cut = None if bias is None else bias.detach()[: rows or None].to(dtype)
            return CachedLinear(weight.detach()[: rows or None].to(dtype), cut, int8=int8)

        self.blocks = [
            _Block(
                _norm(block.attention_norm, dtype),
                linear(block.qkv),
                linear(block.out),
                _norm(block.feed_norm, dtype),
                linear(block.up),
                linear(block.down),
            )
            for block in modules.blocks
        ]
        self.norms = [_norm(norm, dtype) for norm in modules.norms]
        self.head = linear(modules.head, modules.head_rows)
        self.width = modules.head.weight.shape[1]
        self.head_dim = self.blocks[0].qkv.weight.shape[0] // 3 // modules.heads
        self.device = self.head.weight.device

    @property
    def shape(self) -> str:
        """Sizes, for `tuning`."""
        block = self.blocks[0]
        linears = (block.qkv, block.out, block.up, block.down, self.head)
        sizes = " ".join(f"{one.weight.shape[0]}x{one.weight.shape[1]}" for one in linears)
        return f"{len(self.blocks)} layers {sizes}"

    @property
    def exact(self) -> bool:
        """In float32, on a CPU: where a draft in 8 bits is of use."""
        return not self.int8 and self.dtype == torch.float32 and self.device.type == "cpu"

    @cached_property
    def in_8_bits(self) -> DecoderWeights:
        """The same in 8 bits, made when it is first asked for."""
        assert self._modules is not None, "these are in 8 bits"
        return DecoderWeights(self._modules, dtype=self.dtype, int8=True)

    def kernels(self, caches: Sequence[Tensor], rows: int) -> tuple[list[_LayerKernels], Kernel]:
        """Each block as it runs for so many rows, and the head."""
        columns = [
            layer_kernels([getattr(block, name) for block in self.blocks], rows)
            for name in ("qkv", "out", "up", "down")
        ]
        layers = [
            _LayerKernels(block.attention_norm, qkv, out, block.feed_norm, up, down, cache)
            for block, cache, qkv, out, up, down in zip(self.blocks, caches, *columns, strict=True)
        ]
        return layers, layer_kernels([self.head], rows)[0]


def _norm(module: nn.Module, dtype: torch.dtype) -> Norm:
    if isinstance(module, nn.LayerNorm):
        weight, bias, eps = module.weight.detach().to(dtype), module.bias.detach().to(dtype), module.eps
        return lambda hidden: functional.layer_norm(hidden, weight.shape, weight, bias, eps)
    assert isinstance(module, nn.RMSNorm)
    return _RmsNorm(module.weight.detach().to(dtype), module.eps or torch.finfo(torch.float32).eps)


class _RmsNorm:
    """x / sqrt(mean(x^2) + eps) = x sqrt(D) / hypot(|x|, sqrt(D eps)): two operations in place of six."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self._weight, self._root = weight, math.sqrt(len(weight))
        self._floor = torch.tensor(math.sqrt(len(weight) * eps), device=weight.device)

    def __call__(self, hidden: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=torch.float32)
        scale = self._root / torch.hypot(length, self._floor)
        return hidden * scale.to(hidden.dtype) * self._weight


class StepModel:
    """Feeds vectors through a decoder and remembers keys and values.

    Args:
        weights: of the decoder.
        ahead: guesses in 8 bits that a `check` may hold.
    """

    def __init__(self, weights: DecoderWeights, *, ahead: int = 0) -> None:
        self.weights, self.ahead = weights, ahead
        self._cache: list[Tensor] = []
        self._turns: tuple[Tensor, Tensor] | None = None
        self._visible: Tensor | None = None
        self._end = 0

    @property
    def rows(self) -> int:
        """Rows R that are being decoded."""
        return self._cache[0].shape[1]

    def prefill(self, embeds: Tensor, lengths: Tensor, *, steps: int) -> Tensor:
        """Reads the beginning of every row.

        Args:
            embeds: (R, L, D), the vectors of each row at its end, anything finite before.
            lengths: (R,) vectors of each row.
            steps: how many may follow; sizes the cache.

        Returns:
            logits after the last vector, (R, E) float32.
        """
        weights = self.weights
        rows, longest, _ = embeds.shape
        total = longest + steps + self.ahead
        columns = torch.arange(total, device=embeds.device)
        before = (longest - lengths)[:, None].to(embeds.device)  # (R, 1)
        mask = self._visible = None
        if bool((before > 0).any()):
            self._visible = (columns >= before)[:, None, None]  # (R, 1, 1, total)
            order = columns[:longest]
            itself = torch.eye(longest, dtype=torch.bool, device=embeds.device)  # padding must see something
            mask = ((order[:, None] >= order) & self._visible[..., :longest]) | itself
        if weights.rotation is not None:
            cosine, sine = weights.rotation((columns - before).clamp(min=0))  # (R, total, F)
            self._turns = cosine.to(weights.dtype)[:, None], sine.to(weights.dtype)[:, None]
        shape = (2, rows, weights.heads, total, weights.head_dim)
        self._cache = [torch.empty(shape, dtype=weights.dtype, device=embeds.device) for _ in weights.blocks]
        self._end = 0
        self._kernels_for(rows)
        layers, _ = weights.kernels(self._cache, MANY)
        return self._logits(self._head, self._through(layers, embeds, mask)[:, -1])

    def step(self, embeds: Tensor, *, draft: bool = False) -> Tensor:
        """One more vector a row: (R, D) -> logits (R, E) float32 after it; in 8 bits for a `draft`."""
        layers, head = self._draft if draft else (self._layers, self._head)
        weights, attend, activation = self.weights, self._attend, self.weights.activation
        rows, heads, size = len(embeds), weights.heads, weights.head_dim
        at, end = self._end, self._end + 1
        turns = None if self._turns is None else [part[:, 0, at, None, None] for part in self._turns]
        mask = None if self._visible is None else self._visible[..., :end]
        hidden = embeds.to(weights.dtype)
        for layer in layers:
            fused = layer.qkv(layer.attention_norm(hidden)).view(rows, 3, heads, size)
            if turns is not None:
                turning = fused[:, :2]
                swapped = turning.roll(size // 2, dims=-1)
                turning.mul_(turns[0]).addcmul_(swapped, turns[1])
            layer.cache.select(3, at).copy_(fused[:, 1:].transpose(0, 1))
            keys, values = layer.cache.narrow(3, 0, end).unbind(0)
            mixed = attend(fused[:, 0, :, None], keys, values, mask)
            hidden = hidden + layer.out(mixed.reshape(rows, heads * size))
            hidden = hidden + layer.down(activation(layer.up(layer.feed_norm(hidden))))
        self._end = end
        return self._logits(head, hidden)

    def check(self, embeds: Tensor) -> Tensor:
        """(R, S, D), all but the first of each row guesses, S <= ahead + 1 -> logits (R, S, E) float32 after each."""
        order = torch.arange(self._end + embeds.shape[1], device=embeds.device)
        mask = order[self._end :, None] >= order
        if self._visible is not None:
            mask = mask & self._visible[..., : len(order)]
        layers, head = self._checking
        return self._logits(head, self._through(layers, embeds, mask))

    def rollback(self, steps: int) -> None:
        """Forgets the last vectors of every row."""
        self._end -= steps

    def keep(self, rows: Tensor) -> None:
        """Forgets all rows but these (R',) int64."""
        self._cache = [cache.index_select(1, rows) for cache in self._cache]
        if self._turns is not None:
            self._turns = self._turns[0][rows], self._turns[1][rows]
        if self._visible is not None:
            self._visible = self._visible[rows]
        self._kernels_for(len(rows))

    def _kernels_for(self, rows: int) -> None:
        weights = self.weights
        self._layers, self._head = weights.kernels(self._cache, rows)
        self._attend: Attend = attention_kernel(
            weights.heads, weights.head_dim, rows, weights.dtype, weights.device
        )
        if self.ahead:
            self._draft = weights.in_8_bits.kernels(self._cache, rows)
            self._checking = weights.kernels(self._cache, rows * (self.ahead + 1))

    def _through(self, layers: Sequence[_LayerKernels], embeds: Tensor, mask: Tensor | None) -> Tensor:
        """(R, S, D) that go behind what is in the cache -> (R, S, D); no mask: nothing is there, and it is causal."""
        rows, length, width = embeds.shape
        weights, at, end = self.weights, self._end, self._end + embeds.shape[1]
        hidden = embeds.to(weights.dtype).reshape(-1, width)
        for layer in layers:
            fused = layer.qkv(layer.attention_norm(hidden)).view(rows, length, 3, weights.heads, -1)
            query, key, value = fused.permute(2, 0, 3, 1, 4)
            if self._turns is not None:
                cosine, sine = (part[:, :, at:end] for part in self._turns)
                query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
            layer.cache[0, :, :, at:end], layer.cache[1, :, :, at:end] = key, value
            keys, values = (key, value) if at == 0 else layer.cache.narrow(3, 0, end).unbind(0)
            mixed = functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=mask, is_causal=mask is None
            )
            hidden = hidden + layer.out(mixed.transpose(1, 2).reshape(rows * length, -1))
            hidden = hidden + layer.down(weights.activation(layer.up(layer.feed_norm(hidden))))
        self._end = end
        return hidden.view(rows, length, width)

    def _logits(self, head: Kernel, hidden: Tensor) -> Tensor:
        flat = hidden.flatten(0, -2)
        for norm in self.weights.norms:
            flat = norm(flat)
        return head(flat).float().unflatten(0, hidden.shape[:-1])
