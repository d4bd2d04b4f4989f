"""Matrix products of a few rows with a weight that stays: where a decode loop on a CPU spends its time.

With one or two rows such a product waits for memory, with more it waits for the kernel, and which kernel is fastest
depends on the kind of number and on the rows. Knows weights and vectors only. R rows, D inputs, E outputs.
Measured on one thread of a Xeon with AMX: docs/log.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

Made = TypeVar("Made")
Run = Callable[[Tensor], Tensor]
"""(R, D) -> (R, E)."""
PACKED_FROM, PACKED_STEP = 4, 4
"""From so many rows on, float32 is multiplied from a packed copy, made for a multiple of so many rows."""
FEW = 64
"""With more rows than this `linear` is as fast as anything."""


class Product:
    """`linear` with one weight.

    Args:
        weight: (E, D).
        bias: (E,), None for none.
        int8: multiply in 8 bits, a scale for each output; the input is quantised as it comes. On a CPU only.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, int8: bool = False) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self._packed: tuple[int, Tensor] | None = None
        self._small: Any = _quantised(self.weight, self.bias) if int8 else None

    def for_rows(self, rows: int) -> Run:
        """The fastest way for so many rows, good until it is asked for another number of rows."""
        weight, bias = self.weight, self.bias
        if self._small is not None:
            small, dynamic = self._small, torch.ops.quantized.linear_dynamic
            return lambda x: dynamic(x, small, True)
        if weight.device.type != "cpu" or rows > FEW:
            return lambda x: functional.linear(x, weight, bias)
        if weight.dtype == torch.bfloat16:
            return self._single if rows == 1 else self._weight_first
        if weight.dtype == torch.float32 and rows >= PACKED_FROM and _can_pack():
            return self._from_packed(rows)
        return lambda x: functional.linear(x, weight, bias)

    def _single(self, vectors: Tensor) -> Tensor:
        """A matrix and one vector: twice as fast as `linear` in bfloat16."""
        out = torch.mv(self.weight, vectors[0])
        return (out if self.bias is None else out + self.bias)[None]

    def _weight_first(self, vectors: Tensor) -> Tensor:
        """Weight on the left: 1.5 times as fast as `linear` in bfloat16."""
        out = torch.mm(self.weight, vectors.t().contiguous()).t()
        return out.contiguous() if self.bias is None else out + self.bias

    def _from_packed(self, rows: int) -> Run:
        full = -(-rows // PACKED_STEP) * PACKED_STEP
        if self._packed is None or self._packed[0] != full:
            self._packed = full, torch.ops.mkl._mkl_reorder_linear_weight(self.weight, full)
        weight, bias, packed, missing = self.weight, self.bias, self._packed[1], full - rows
        multiply = torch.ops.mkl._mkl_linear
        if not missing:
            return lambda x: multiply(x, packed, weight, bias, full)
        return lambda x: multiply(functional.pad(x, (0, 0, 0, missing)), packed, weight, bias, full)[:rows]


def _can_pack() -> bool:
    """Whether this torch multiplies from packed float32 weights (builds with MKL do)."""
    return torch.backends.mkl.is_available() and hasattr(torch.ops.mkl, "_mkl_linear")


def _quantised(weight: Tensor, bias: Tensor | None) -> Any:
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


class MadeOnce(Generic[Made]):
    """Keeps what was made of a network's weights, and makes it again when they have changed."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[nn.Module, tuple[Any, Made]] = WeakKeyDictionary()

    def of(self, network: nn.Module, key: Any, make: Callable[[], Made]) -> Made:
        """`make()`, or what it gave before for the same `key` and the same weights; one key a network is kept."""
        tensors = list(network.parameters())
        if any(tensor.is_inference() for tensor in tensors):  # they do not tell when they change
            return make()
        state = (key, sum(t._version for t in tensors), tensors[0].data_ptr(), tensors[0].device)
        kept = self._kept.get(network)
        if kept is None or kept[0] != state:
            self._kept.pop(network, None)  # frees the old one first
            kept = self._kept[network] = (state, make())
        return kept[1]
