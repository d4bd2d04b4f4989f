"""Convolutions with each frame's channels beside one another in memory, which a CPU likes.

The same numbers as a layer's own `forward`, in 0.5 to 0.8 of the time of training on a CPU: convolutions of few
channels over many frames otherwise spend it on rearranging (`benchmarks/bench_vits.py`). Tensors keep their shape
(B, C, L) and only their strides change, so nothing around them needs to know. Elsewhere than on a CPU, and in what is
exported, nothing is rearranged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def channels_last(values: Tensor) -> Tensor:
    """(B, C, L) of the same values; on a CPU the channels of a frame are neighbours in memory."""
    if not _rearranged(values):
        return values
    return values.transpose(1, 2).contiguous().transpose(1, 2)


def conv(layer: Any, values: Tensor) -> Tensor:
    """What `layer`, a Conv1d or ConvTranspose1d, makes of (B, C, L); channels stay where they are in memory."""
    if not _rearranged(values):
        out: Tensor = layer(values)
        return out
    flat, weight = values.unsqueeze(2), layer.weight.unsqueeze(2)
    if isinstance(layer, nn.ConvTranspose1d):
        made = functional.conv_transpose2d(
            flat, weight, layer.bias, stride=(1, *layer.stride), padding=(0, *layer.padding)
        )
    else:
        made = functional.conv2d(
            flat,
            weight,
            layer.bias,
            padding=(0, *layer.padding),
            dilation=(1, *layer.dilation),
            groups=layer.groups,
        )
    return made.squeeze(2)


def _rearranged(values: Tensor) -> bool:
    return values.device.type == "cpu" and not torch.jit.is_tracing()
