"""How well a network predicts its own text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def text_cross_entropy(logits: Tensor, tokens: Tensor, lengths: Tensor, *, rows: int = 0) -> Tensor:
    """Mean next-token cross entropy of each text, (B,) nats per token.

    Args:
        logits: (B, N, V); position n predicts token n + 1.
        tokens: (B, N) ids from start to stop, anything beyond the lengths.
        lengths: (B,), start and stop counted; at least 2.
        rows: score over the first `rows` ids only, so that a resized model is comparable with the old one; 0 takes
            all. Old ids must be the first ones, as after `--mode extend`.
    """
    kept = logits[:, :-1, : rows or None].float()
    losses = functional.cross_entropy(
        kept.transpose(1, 2), tokens[:, 1:].clamp(max=kept.shape[2] - 1), reduction="none"
    )
    counted = torch.arange(1, tokens.shape[1], device=tokens.device) < lengths[:, None]
    return (losses * counted).sum(1) / counted.sum(1)
