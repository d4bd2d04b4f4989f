"""Matrix products of a few rows with a weight that stays: where a decoding loop on a CPU spends its time.

With one or two rows such a product waits for memory, with more it waits for the kernel; which kernel is fastest
depends on processor, precision, shape and rows, so it is measured (`tuning.py`). All kernels of a precision compute the
same product; sums may be rounded in another order. R rows, D inputs, E outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.speech_lm import tuning

Made = TypeVar("Made")
Kernel = Callable[[Tensor], Tensor]
"""(R, D) -> (R, E)."""
FEW = 64
"""With more rows than this plain `linear` is as fast as anything."""
PACKED_STEP = 4
"""Packed weights are made for a multiple of so many rows."""
MANY = FEW + 1
"""Rows to ask kernels for where there are many and their number changes, as when a prompt is read."""
BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, FEW)
"""Numbers of rows that are measured; the next larger one stands for those between."""
SMALL = 2**16
"""Weights of fewer numbers stay with plain `linear`: the product takes less than what surrounds it."""
SAMPLE_BYTES = 2**24
"""Weights that a measurement goes through, so that they come from memory as in the loop and not from a small cache."""


class CachedLinear:
    """A linear layer for decoding: its weight in one precision, and copies that its kernels need.

    Args:
        weight: (E, D).
        bias: (E,), None for none.
        int8: multiply in 8 bits, one scale an output; the input is quantized as it comes. On a CPU only.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, int8: bool = False) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self._copies: dict[str, tuple[int, Tensor]] = {}
        self._quantized: Any = _quantized(self.weight, self.bias) if int8 else None

    @property
    def key(self) -> str:
        """Precision and shape, for `tuning`."""
        kind = "int8" if self._quantized is not None else str(self.weight.dtype).removeprefix("torch.")
        return (
            f"{kind} {self.weight.shape[0]}x{self.weight.shape[1]}{' bias' if self.bias is not None else ''}"
        )

    def candidates(self, rows: int) -> list[str]:
        """Kernels for so many rows; `plain` is `functional.linear`, or in 8 bits the only one."""
        small = self.weight.numel() < SMALL
        if self._quantized is not None or self.weight.device.type != "cpu" or rows > FEW or small:
            return [tuning.PLAIN]
        found = [tuning.PLAIN, "weight_first", "transposed", "halves"]
        if rows == 1:
            found[1] = "vector"
        if self.weight.dtype == torch.float32 and _can_pack():
            found.append("packed")
        return found

    def kernel(self, name: str, rows: int) -> Kernel:
        """The named kernel for so many rows, good until another one is asked for."""
        weight, bias = self.weight, self.bias
        if self._quantized is not None:
            quantized, dynamic = self._quantized, torch.ops.quantized.linear_dynamic
            return lambda x: dynamic(x, quantized, True)
        if name == "vector":
            if bias is None:
                return lambda x: torch.mv(weight, x[0])[None]
            return lambda x: torch.addmv(bias, weight, x[0])[None]
        if name == "weight_first":
            return self._weight_first
        if name == "transposed":
            turned = self._copy(name, 0, lambda: weight.t().contiguous())
            return (lambda x: torch.mm(x, turned)) if bias is None else lambda x: torch.addmm(bias, x, turned)
        if name == "packed":
            return self._packed(rows)
        if name == "halves":
            return self._halves
        return lambda x: functional.linear(x, weight, bias)

    def _weight_first(self, vectors: Tensor) -> Tensor:
        out = torch.mm(self.weight, vectors.t().contiguous()).t()
        return out.contiguous() if self.bias is None else out + self.bias

    def _halves(self, vectors: Tensor) -> Tensor:
        """Two products in place of a fused one."""
        biases = (None, None) if self.bias is None else self.bias.chunk(2)
        parts = zip(self.weight.chunk(2), biases, strict=True)
        return torch.cat([functional.linear(vectors, weight, bias) for weight, bias in parts], dim=1)

    def _packed(self, rows: int) -> Kernel:
        full = -(-rows // PACKED_STEP) * PACKED_STEP
        weight, bias, missing = self.weight, self.bias, full - rows
        packed = self._copy("packed", full, lambda: torch.ops.mkl._mkl_reorder_linear_weight(weight, full))
        multiply = torch.ops.mkl._mkl_linear
        if not missing:
            return lambda x: multiply(x, packed, weight, bias, full)
        return lambda x: multiply(functional.pad(x, (0, 0, 0, missing)), packed, weight, bias, full)[:rows]

    def _copy(self, name: str, rows: int, make: Callable[[], Tensor]) -> Tensor:
        """A copy of the weight for a kernel; one for each kernel is kept, for the rows that were asked for last."""
        if self._copies.get(name, (-1,))[0] != rows:
            self._copies.pop(name, None)
            self._copies[name] = rows, make()
        return self._copies[name][1]


def layer_kernels(linears: Sequence[CachedLinear], rows: int) -> list[Kernel]:
    """The kernels of layers of one shape for so many rows: one name for all, the fastest here."""
    first = linears[0]
    names = first.candidates(rows)
    name = tuning.PLAIN
    if len(names) > 1:
        sample = linears[: max(1, SAMPLE_BYTES // first.weight.nbytes)]
        measured = bucket(rows)
        key = f"linear:{first.key} rows {measured}"
        name = tuning.choose(key, names, lambda: _products(sample, names, measured)).name
    return [linear.kernel(name, rows) for linear in linears]


def bucket(rows: int) -> int:
    """The number of rows that is measured in place of `rows`."""
    return next((size for size in BUCKETS if size >= rows), rows)


def _products(sample: Sequence[CachedLinear], names: Sequence[str], rows: int) -> dict[str, tuning.Work]:
    """Name -> the products with each weight of the sample by that kernel."""
    vectors = torch.ones(  # draws no random numbers
        rows, sample[0].weight.shape[1], dtype=sample[0].weight.dtype
    )
    made = {name: [CachedLinear(one.weight, one.bias).kernel(name, rows) for one in sample] for name in names}
    return {name: [partial(kernel, vectors) for kernel in kernels] for name, kernels in made.items()}


def _can_pack() -> bool:
    """Whether this torch multiplies from packed float32 weights (builds with MKL do)."""
    return torch.backends.mkl.is_available() and hasattr(torch.ops.mkl, "_mkl_linear")


def _quantized(weight: Tensor, bias: Tensor | None) -> Any:
    """A weight packed in 8 bits for `quantized.linear_dynamic`."""
    exact = weight.float().cpu()
    scales = exact.abs().amax(dim=1).clamp(min=1e-8).double() / 127
    zeros = torch.zeros(len(exact), dtype=torch.int64)
    engines = torch.backends.quantized
    before = engines.engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants its users in another package, which has no such kernel
        if "fbgemm" in engines.supported_engines:  # at one row 1.3 times as fast as oneDNN
            engines.engine = "fbgemm"
        try:
            whole = torch.quantize_per_channel(exact, scales, zeros, 0, torch.qint8)
            return torch.ops.quantized.linear_prepack(whole, None if bias is None else bias.float().cpu())
        finally:
            engines.engine = before


Attend = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]
"""Queries (R, H, 1, F), keys and values (R, H, T, F), mask (R, 1, 1, T) true where visible or None -> (R, H, 1, F)."""
ATTENTION_LENGTH = 256
"""Keys of a measurement: a sentence of some seconds."""


def attention_kernel(
    heads: int, head_dim: int, rows: int, dtype: torch.dtype, device: torch.device
) -> Attend:
    """The fastest attention of one query over a cache."""
    if device.type != "cpu":
        return _fused_attention
    rows = min(bucket(rows), FEW)
    variants: dict[str, Attend] = {tuning.PLAIN: _fused_attention, "matmul": _matmul_attention}

    def work() -> dict[str, tuning.Work]:
        shape = rows, heads, ATTENTION_LENGTH, head_dim
        query, keys, values = (torch.ones(shape, dtype=dtype) for _ in range(3))  # draws no random numbers
        one = query[:, :, :1]
        return {name: [partial(attend, one, keys, values, None)] for name, attend in variants.items()}

    key = f"attention:{str(dtype).removeprefix('torch.')} {heads}x{head_dim} rows {rows}"
    return variants[tuning.choose(key, list(variants), work).name]


def _fused_attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)


def _matmul_attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ values


class WeightCache(Generic[Made]):
    """Caches objects derived from a network's weights; they are derived again when the weights have changed."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[nn.Module, tuple[Any, Made]] = WeakKeyDictionary()

    def of(self, network: nn.Module, key: Any, make: Callable[[], Made]) -> Made:
        """`make()`, or what it gave before for the same `key` and the same weights; one key a network is kept."""
        tensors = list(network.parameters())
        if any(tensor.is_inference() for tensor in tensors):  # they keep no version
            return make()
        state = (key, sum(t._version for t in tensors), tensors[0].data_ptr(), tensors[0].device)
        kept = self._kept.get(network)
        if kept is None or kept[0] != state:
            self._kept.pop(network, None)  # frees the old one first
            kept = self._kept[network] = (state, make())
        return kept[1]
