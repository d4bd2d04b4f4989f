"""Durations: the likelihood that the stochastic predictor learns by, the regression of the other one, and sampling.

transformers' stochastic training branch is not followed, because it also swaps the channels after the leading affine
layer, which no published checkpoint does (Kim et al. 2021, appendix A, swap after splines).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from amtts_vits.layers import channels_last, conv
from amtts_vits.spline import spline

LOG_TWO_PI = math.log(2 * math.pi)


def duration_loss(
    predictor: Any,
    hidden: Tensor,
    mask: Tensor,
    durations: Tensor,
    noise: Tensor | None,
    speaker: Tensor | None,
) -> Tensor:
    """What the duration predictor is off by, each utterance over the number of symbols of the batch.

    Always float32: exact splines, and on a CPU depth-wise convolutions of few symbols are faster so (0.15 in place of
    0.19 s of a step of `small`).

    Args:
        predictor: `StochasticDurationPredictor` or `DurationPredictor`.
        hidden: (B, C, N) of the text encoder; no gradient flows into it.
        mask: (B, 1, N), 1 at real symbols.
        durations: (B, 1, N) frames of each symbol.
        noise: (B, 2, N) standard normal; None for the deterministic predictor.
        speaker: (B, S, 1) or None.

    Returns:
        (B,); the published loss is their sum.
    """
    with torch.autocast(mask.device.type, enabled=False):
        hidden, speaker = hidden.detach().float(), None if speaker is None else speaker.detach().float()
        if hasattr(predictor, "post_flows"):
            assert noise is not None
            loss = _negative_log_likelihood(predictor, hidden, mask, durations, noise, speaker)
        else:
            wanted = torch.log(durations + 1e-6) * mask
            loss = (predictor(hidden, mask, speaker) - wanted).square().sum((1, 2))
        return loss / mask.sum()


def sampled_log_durations(
    predictor: Any, hidden: Tensor, mask: Tensor, noise: Tensor | None, speaker: Tensor | None
) -> Tensor:
    """(B, 1, N) log frames of each symbol; `noise` (B, 2, N) already carries its scale."""
    if not hasattr(predictor, "post_flows"):
        out: Tensor = predictor(hidden, mask, speaker)
        return out
    assert noise is not None
    condition = _condition(predictor, hidden, mask, speaker)
    latent = noise
    # The spline next to the affine layer only moves the channel that is thrown away; it is passed over as published.
    for flow in [*reversed(predictor.flows[2:]), predictor.flows[0]]:
        latent = torch.flip(latent, [1])
        latent, _ = _apply(flow, latent, mask, condition, inverse=True)
    return latent[:, :1]


def _negative_log_likelihood(
    predictor: Any, hidden: Tensor, mask: Tensor, durations: Tensor, noise: Tensor, speaker: Tensor | None
) -> Tensor:
    """Variational bound on -log p(durations), (B,): dequantised by u in [0, 1), augmented by a second channel."""
    condition = _condition(predictor, hidden, mask, speaker)
    given = predictor.post_conv_dds(predictor.post_conv_pre(durations), mask)
    given = conv(predictor.post_conv_proj, given) * mask
    drawn = noise * mask
    latent, log_det = _through(predictor.post_flows, drawn, mask, condition + given)
    raw, second = latent[:, :1], latent[:, 1:]
    log_det = log_det + ((functional.logsigmoid(raw) + functional.logsigmoid(-raw)) * mask).sum((1, 2))
    log_posterior = (-0.5 * (LOG_TWO_PI + drawn.square()) * mask).sum((1, 2)) - log_det

    first = (durations - torch.sigmoid(raw) * mask) * mask
    first = torch.log(first.clamp(min=1e-5)) * mask
    latent, log_det = _through(predictor.flows, torch.cat([first, second], dim=1), mask, condition)
    log_det = log_det - first.sum((1, 2))
    log_prior = (-0.5 * (LOG_TWO_PI + latent.square()) * mask).sum((1, 2)) + log_det
    return log_posterior - log_prior


def _condition(predictor: Any, hidden: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
    out = conv(predictor.conv_pre, channels_last(hidden.detach()))
    if speaker is not None:
        out = out + predictor.cond(speaker.detach())
    return conv(predictor.conv_proj, predictor.conv_dds(out, mask)) * mask


def _through(flows: Any, latent: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
    """One affine layer, then splines with the channels swapped after each; (B, 2, N) and log-determinants (B,)."""
    latent, total = _apply(flows[0], latent, mask, condition)
    for flow in flows[1:]:
        latent, log_det = _apply(flow, latent, mask, condition)
        latent, total = torch.flip(latent, [1]), total + log_det
    return latent, total


def _apply(
    flow: Any, latent: Tensor, mask: Tensor, condition: Tensor, *, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    if not hasattr(flow, "conv_dds"):  # the affine layer
        if inverse:
            return (latent - flow.translate) * torch.exp(-flow.log_scale) * mask, mask.new_zeros(len(mask))
        moved = (flow.translate + torch.exp(flow.log_scale) * latent) * mask
        return moved, (flow.log_scale * mask).sum((1, 2))
    kept, changed = latent[:, : flow.half_channels], latent[:, flow.half_channels :]
    shape = conv(flow.conv_proj, flow.conv_dds(flow.conv_pre(kept), mask, condition)) * mask
    batch, channels, length = kept.shape
    shape = shape.reshape(batch, channels, -1, length).transpose(2, 3)  # (B, 1, N, 3K - 1)
    bins, scale = flow.num_bins, math.sqrt(flow.filter_channels)
    changed, log_slope = spline(
        changed,
        shape[..., :bins] / scale,
        shape[..., bins : 2 * bins] / scale,
        shape[..., 2 * bins :],
        tail=flow.tail_bound,
        inverse=inverse,
    )
    return torch.cat([kept, changed], dim=1) * mask, (log_slope * mask).sum((1, 2))
