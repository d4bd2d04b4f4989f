"""1-D convolutions and Snake with channels last: on a CPU faster than torch's own modules, with the same sums.

Convolutions over (B, C, 1, T) with channels last run at the speed of matrix products; the Snake activation works on
pieces that stay in the cache, where the plain one makes five passes over the whole signal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

PIECE = 32768
"""Numbers that the activation works on at a time."""


class EachFrame(nn.Module):
    """A convolution of one sample's width, as the matrix product that it is."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, 1, T) -> (B, C', 1, T), channels last."""
        out = nn.functional.linear(hidden.permute(0, 2, 3, 1), self.weight, self.bias)
        return out.permute(0, 3, 1, 2)


def snake(hidden: Tensor, alpha: Tensor, *, replace: bool = False) -> Tensor:
    """x + sin(a x)^2 / a for (B, C, 1, T) with channels last and C alphas; Ziyin et al. 2020.

    With `replace` it stands where `hidden` stood, which is fetched from memory already.
    """
    rows = hidden.permute(0, 2, 3, 1).reshape(-1, hidden.shape[1])
    factor = alpha.reshape(1, -1)
    inverse = (factor + 1e-9).reciprocal()
    out = rows if replace else torch.empty_like(rows)
    step = max(1, PIECE // rows.shape[1]) if hidden.device.type == "cpu" else len(rows)
    spare = torch.empty_like(rows[:step]) if replace else None
    for start in range(0, len(rows), step):
        piece, target = rows[start : start + step], out[start : start + step]
        wave = target if spare is None else spare[: len(piece)]
        torch.mul(piece, factor, out=wave)
        torch.add(piece, wave.sin_().square_().mul_(inverse), out=target)
    return out.reshape(hidden.shape[0], 1, hidden.shape[3], hidden.shape[1]).permute(0, 3, 1, 2)


def channels_last(layer: nn.Conv1d | nn.ConvTranspose1d) -> nn.Module:
    """The same convolution over (B, C, 1, T) with channels last, for inference."""
    if isinstance(layer, nn.Conv1d) and layer.kernel_size == (1,) and layer.stride == (1,):
        bias = None if layer.bias is None else layer.bias.detach()
        return EachFrame(layer.weight.detach()[:, :, 0], bias)
    kind: Any = nn.Conv2d if isinstance(layer, nn.Conv1d) else nn.ConvTranspose2d
    wide = kind(
        layer.in_channels,
        layer.out_channels,
        (1, layer.kernel_size[0]),
        stride=(1, layer.stride[0]),
        padding=(0, int(layer.padding[0])),
        dilation=(1, layer.dilation[0]),
        bias=layer.bias is not None,
        device="meta",
    )
    weight = layer.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
    wide.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        wide.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
    return wide
