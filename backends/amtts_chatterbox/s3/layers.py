"""Layers that the flow's encoder and estimator share. B items, T frames, C channels; time is the second axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW = 64
"""Positions below which torch's fused attention is as fast."""
SMALLEST_SUM, LARGEST_SUM = 1e-30, 1e30
"""Sums of exponentials between which none of those that count has lost a digit."""


class Taps(nn.Module):
    """A convolution over time as one matrix product: every frame sees `taps` frames, from `taps - 1 - ahead` before.

    Args:
        inputs: channels.
        outputs: channels.
        taps: frames that are seen.
        ahead: how many of them follow the frame; 0 is causal.
    """

    def __init__(self, inputs: int, outputs: int, taps: int, *, ahead: int = 0) -> None:
        super().__init__()
        self.taps, self.ahead = taps, ahead
        self.weight = nn.Parameter(torch.empty(outputs, taps * inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C'); zeros stand before the start and behind the end."""
        if self.taps > 1:
            items, frames, channels = hidden.shape
            padded = functional.pad(hidden, (0, 0, self.taps - 1 - self.ahead, self.ahead)).contiguous()
            strides = (padded.stride(0), channels, 1)
            hidden = padded.as_strided((items, frames, self.taps * channels), strides)
        return functional.linear(hidden, self.weight, self.bias)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention over everything, (B, H, T, d) each -> (B, T, H * d).

    On a CPU outside of training one product a head is faster than torch's fused kernel, in bfloat16 twice.

    Args:
        query, key, value: of every head.
        bias: is added to the scores, (B, 1 or H, 1 or T, T).
    """
    items, heads, frames, size = query.shape
    if query.device.type != "cpu" or torch.is_grad_enabled() or frames < FEW:
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return mixed.transpose(1, 2).reshape(items, frames, heads * size)
    out = torch.empty(items, frames, heads, size, dtype=query.dtype)
    scores = torch.empty(frames, key.shape[2], dtype=query.dtype)
    for item in range(items):
        for head in range(heads):
            added = None if bias is None else bias[item, min(head, bias.shape[1] - 1)]
            _attend_one(
                query[item, head], key[item, head], value[item, head], added, scores, out[item, :, head]
            )
    return out.flatten(2)


def _attend_one(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scores: Tensor, out: Tensor
) -> None:
    """One head, (T, d) each, into `out`; `scores` (T, T) is room to work in.

    A softmax needs no maximum where the sums of the exponentials are far from the ends of float32.
    """
    scale = query.shape[1] ** -0.5
    torch.addmm(scores, query, key.t(), beta=0, alpha=scale, out=scores)
    if bias is None and query.dtype == torch.float32:
        sums = scores.exp_().sum(1, keepdim=True)
        least, most = torch.aminmax(sums)
        if float(least) > SMALLEST_SUM and float(most) < LARGEST_SUM:
            torch.mm(scores, value, out=out)
            out /= sums
            return
        torch.addmm(scores, query, key.t(), beta=0, alpha=scale, out=scores)
    if bias is not None:
        scores += bias
    torch.softmax(scores, dim=-1, out=scores)
    torch.mm(scores, value, out=out)


def masked(hidden: Tensor, valid: Tensor | None) -> Tensor:
    """(B, T, C) with zeros where `valid` (B, T) is False; None keeps all."""
    return hidden if valid is None else hidden * valid[..., None].to(hidden.dtype)
