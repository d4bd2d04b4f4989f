"""Next-token cross-entropy of text and codes over packed rows: every real position counts once, and nothing else.

Logits exist for a chunk of positions at a time and are computed again in the backward pass. B items, S steps, K
codebooks (1 for text) of V outputs, M positions that predict something, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from amtts_core.nn.soft_code_targets import soft_cross_entropy
from amtts_core.speech_lm.packing import Packing
from amtts_core.speech_lm.streams import IGNORED


@dataclass(frozen=True)
class TokenLoss:
    """Cross-entropy in nats of each codebook.

    Attributes:
        total: (K,) sums over their targets.
        count: (K,) targets.
    """

    total: Tensor
    count: Tensor

    @property
    def means(self) -> Tensor:
        """(K,) per target; 0 where there is none."""
        return self.total / self.count.clamp(min=1)

    def mean(self, weights: Sequence[float] = ()) -> Tensor:
        """The codebooks' weighted mean, a scalar; without weights all count alike."""
        if not weights:
            return self.means.mean()
        scale = torch.tensor(weights, device=self.total.device)
        return (self.means * scale).sum() / scale.sum()


def next_tokens(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Targets (B, N, 1) of tokens (B, N) of `lengths` (B,): the token after each; the last one has none."""
    targets = functional.pad(tokens[:, 1:], (0, 1), value=IGNORED)
    beyond = torch.arange(targets.shape[1], device=tokens.device) >= lengths[:, None] - 1
    return targets.masked_fill(beyond, IGNORED)[..., None]


def token_loss(
    hidden: Tensor,
    packing: Packing,
    segment: int,
    targets: Tensor,
    head: nn.Linear,
    *,
    chunk: int = 2048,
    soft_targets: Tensor | None = None,
) -> TokenLoss:
    """Cross-entropy of what stands in one segment of packed rows.

    Args:
        hidden: (R, L, D).
        packing: how the rows were packed.
        segment: which.
        targets: (B, S, K) for each position of the segment, `IGNORED` where there is no loss.
        head: (D) -> (K * V).
        chunk: positions whose logits exist at a time.
        soft_targets: (K, V, V) distributions that each codebook's targets stand for; None means the targets alone.
    """
    row, position = packing.places(segment, targets.shape[1])
    predicts = (targets != IGNORED).any(-1)
    return chunked_cross_entropy(
        hidden[row.expand_as(position)[predicts], position[predicts]],
        head,
        targets[predicts],
        chunk=chunk,
        soft_targets=soft_targets,
    )


def chunked_cross_entropy(
    hidden: Tensor, head: nn.Linear, targets: Tensor, *, chunk: int, soft_targets: Tensor | None = None
) -> TokenLoss:
    """Summed cross-entropy of hidden (M, D) against targets (M, K); see `token_loss`."""
    total = hidden.new_zeros(targets.shape[1], dtype=torch.float32)
    recompute = torch.is_grad_enabled() and len(targets) > chunk
    for piece, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
        arguments = piece, head.weight, head.bias, wanted, soft_targets
        if recompute:
            part = checkpoint(_summed, *arguments, use_reentrant=False, preserve_rng_state=False)
        else:
            part = _summed(*arguments)
        total = total + part
    return TokenLoss(total, (targets != IGNORED).sum(0))


def _summed(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, soft_targets: Tensor | None
) -> Tensor:
    """(K,) sums."""
    logits = functional.linear(hidden, weight, bias).unflatten(-1, (targets.shape[1], -1))
    if soft_targets is None:
        return torch.stack(
            [
                functional.cross_entropy(scores.float(), wanted, ignore_index=IGNORED, reduction="sum")
                for scores, wanted in zip(logits.unbind(1), targets.unbind(1), strict=True)
            ]
        )
    sums = []
    for scores, wanted, soft in zip(logits.unbind(1), targets.unbind(1), soft_targets, strict=True):
        counts = wanted != IGNORED
        sums.append(soft_cross_entropy(scores[counts], wanted[counts], soft))
    return torch.stack(sums)
