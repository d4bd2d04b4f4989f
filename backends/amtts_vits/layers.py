"""Passes through transformers' modules with each frame's channels beside one another in memory, which a CPU likes.

The same numbers as the modules' own `forward`, in 0.5 to 0.8 of the time of training on a CPU: convolutions of few
channels over many frames otherwise spend it on rearranging (`benchmarks/bench_vits.py`). Tensors keep their shape
(B, C, L) and only their strides change, so nothing around them needs to know. Elsewhere than on a CPU, and in what is
exported, nothing is rearranged.
"""

from __future__ import annotations

import functools
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


def decoder_pass(decoder: Any, frames: Tensor, speaker: Tensor | None) -> Tensor:
    """The HiFi-GAN decoder: (B, C, L) and (B, S, 1) or None -> (B, 1, L x hop)."""
    slope = decoder.config.leaky_relu_slope
    hidden = conv(decoder.conv_pre, channels_last(frames))
    if speaker is not None:
        hidden = hidden + decoder.cond(speaker)
    for number, upsampler in enumerate(decoder.upsampler):
        hidden = conv(upsampler, functional.leaky_relu(hidden, slope))
        first = number * decoder.num_kernels
        blocks = decoder.resblocks[first : first + decoder.num_kernels]
        parts = [_residual(block, hidden, slope) for block in blocks]
        hidden = functools.reduce(torch.add, parts) / len(blocks)
    return torch.tanh(conv(decoder.conv_post, functional.leaky_relu(hidden)))


def _residual(block: Any, hidden: Tensor, slope: float) -> Tensor:
    for wide, narrow in zip(block.convs1, block.convs2, strict=True):
        inner = conv(wide, functional.leaky_relu(hidden, slope))
        hidden = hidden + conv(narrow, functional.leaky_relu(inner, slope))
    return hidden


def wavenet_pass(wavenet: Any, values: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
    """(B, C, L), (B, 1, L), (B, S, 1) or None -> (B, C, L)."""
    size = wavenet.hidden_size
    given = None if speaker is None else wavenet.cond_layer(speaker)
    total: Tensor | None = None
    for number, (inner, outer) in enumerate(zip(wavenet.in_layers, wavenet.res_skip_layers, strict=True)):
        hidden = conv(inner, values)
        if given is not None:
            hidden = hidden + given[:, 2 * size * number : 2 * size * (number + 1)]
        gated = torch.tanh(hidden[:, :size]) * torch.sigmoid(hidden[:, size:])
        made = conv(outer, wavenet.dropout(gated))
        if number < wavenet.num_layers - 1:
            values = (values + made[:, :size]) * mask
            made = made[:, size:]
        total = made if total is None else total + made
    assert total is not None
    return total * mask


def posterior_pass(encoder: Any, spectrogram: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
    """Spectrogram (B, F, L) -> mean and log standard deviation (B, 2 C, L)."""
    hidden = conv(encoder.conv_pre, channels_last(spectrogram)) * mask
    return conv(encoder.conv_proj, wavenet_pass(encoder.wavenet, hidden, mask, speaker)) * mask


def flow_pass(
    flow: Any, latent: Tensor, mask: Tensor, speaker: Tensor | None, *, reverse: bool = False
) -> Tensor:
    """The coupling layers, which move one half by what the other says: (B, C, L) -> (B, C, L)."""
    latent = channels_last(latent)
    for layer in reversed(flow.flows) if reverse else flow.flows:
        if reverse:
            latent = torch.flip(latent, [1])
        kept, moved = latent.chunk(2, dim=1)
        hidden = wavenet_pass(layer.wavenet, conv(layer.conv_pre, kept) * mask, mask, speaker)
        shift = conv(layer.conv_post, hidden) * mask
        moved = (moved - shift) * mask if reverse else shift + moved * mask
        latent = torch.cat([kept, moved], dim=1)
        if not reverse:
            latent = torch.flip(latent, [1])
    return latent


def separable_pass(block: Any, values: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
    """The dilated depth-wise convolutions of the duration predictor: (B, C, N) -> (B, C, N)."""
    if condition is not None:
        values = values + condition
    values = channels_last(values)
    layers = zip(block.convs_dilated, block.convs_pointwise, block.norms_1, block.norms_2, strict=True)
    for dilated, pointwise, first, second in layers:
        hidden = _normed(first, conv(dilated, values * mask))
        hidden = _normed(second, conv(pointwise, hidden))
        values = values + block.dropout(hidden)
    return values * mask


def _normed(norm: nn.LayerNorm, values: Tensor) -> Tensor:
    return functional.gelu(norm(values.transpose(1, 2)).transpose(1, 2))
