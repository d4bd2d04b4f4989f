"""Whether a processor's bf16 convolutions compute what they should: some kernels of oneDNN do not.

torch 2.13 on processors with AMX returns numbers without any likeness for strided convolutions with few channels, such
as 8 channels, 8 taps and stride 4 (errors of 100 %), and for the gradient of such transposed ones; the padding
matters, the length does not. Nothing is raised, so such a layer trains on noise. Each shape is tried
before it is relied on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.errors import AmttsError

POSITIONS = 48
"""Places of the shorter side of a trial."""
TOLERATED = 0.05
"""Relative error of a sound kernel is about 0.004."""
_RUN: dict[type[nn.Module], Any] = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    nn.ConvTranspose1d: functional.conv_transpose1d,
}


def require_sound(modules: Mapping[str, nn.Module], dtype: torch.dtype, *, asked: str, remedy: str) -> None:
    """Tries every shape of convolution in `dtype` on the CPU, forward and backward.

    Args:
        modules: networks by name.
        dtype: what they shall compute in.
        asked: the setting that wants it, for the message.
        remedy: what to do instead.

    Raises:
        AmttsError: a convolution whose outputs or gradients are not those of float32.
    """
    for name, layer in _shapes(modules):
        error = _error(layer, dtype)
        if not error <= TOLERATED:
            taps, stride = layer.kernel_size, layer.stride
            raise AmttsError(
                f"{asked}: the convolution {name} ({layer.in_channels} -> {layer.out_channels} channels, taps "
                f"{list(taps)}, stride {list(stride)}) is wrong by {100 * error:.0f} % on this processor, "
                f"expected at most {100 * TOLERATED:.0f} %",
                remedy=remedy,
            )


def _shapes(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, Any]]:
    """A layer of each shape, with its name."""
    seen: set[Any] = set()
    for name, module in modules.items():
        for path, layer in module.named_modules():
            kind = next((kind for kind in _RUN if isinstance(layer, kind)), None)
            if kind is None:
                continue
            found: Any = layer
            geometry = (found.kernel_size, found.stride, found.padding, found.dilation)
            shape = (kind, found.in_channels, found.out_channels, found.groups, *geometry)
            if shape not in seen:
                seen.add(shape)
                yield f"{name}.{path}", layer


def _error(layer: Any, dtype: torch.dtype) -> float:
    """Largest relative error of output and gradients."""
    exact, low = (_passed(layer, kind) for kind in (torch.float32, dtype))
    return max(
        float((a - b.float()).norm() / a.norm().clamp(min=1e-9)) for a, b in zip(exact, low, strict=True)
    )


def _passed(layer: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient of the input and of the weight, of the same random numbers in every precision."""
    kind = next(kind for kind in _RUN if isinstance(layer, kind))
    draws = torch.Generator().manual_seed(0)
    sizes = [
        reach if taps == 1 and len(layer.kernel_size) == 2 else reach + POSITIONS * step
        for taps, reach, step in (
            (taps, dilation * (taps - 1) + 1, 1 if kind is nn.ConvTranspose1d else stride)
            for taps, stride, dilation in zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
        )
    ]
    with torch.enable_grad():
        given = torch.randn(2, layer.in_channels, *sizes, generator=draws).to(dtype).requires_grad_()
        shape = layer.weight.shape
        weight = torch.randn(shape, generator=draws).to(dtype).requires_grad_()
        own = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        if kind is nn.ConvTranspose1d:
            own["output_padding"] = layer.output_padding
        out = _RUN[kind](given, weight, None, groups=layer.groups, **own)
        blame = torch.randn(out.shape, generator=draws).to(dtype)
        of_given, of_weight = torch.autograd.grad(out, (given, weight), blame)
    return out.detach(), of_given, of_weight
