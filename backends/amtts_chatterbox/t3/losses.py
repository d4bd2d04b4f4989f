"""Next-token cross-entropy of both streams: the hidden state at token t against token t + 1, real positions only.

Every speech token counts, the first code and the end among them; nothing is masked at the beginning. Logits exist
for a chunk of positions at a time and are computed again in the backward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from amtts_chatterbox.t3.packing import Packing
from amtts_core.nn.soft_code_targets import soft_cross_entropy


@dataclass(frozen=True)
class TokenLoss:
    """Cross-entropy in nats, summed over `count` tokens."""

    total: Tensor
    count: int

    @property
    def mean(self) -> Tensor:
        """Per token."""
        return self.total / max(self.count, 1)


def text_targets(packing: Packing, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Flat positions (M,) in the packed rows and the tokens (M,) they predict: all of the text after its start."""
    begins = [place.row * packing.source.shape[1] + place.text for place in packing.places]
    return _shifted(begins, tokens, lengths, skip=0)


def speech_targets(
    packing: Packing, tokens: Tensor, lengths: Tensor, *, start_tokens: int = 1
) -> tuple[Tensor, Tensor]:
    """The same for speech: all after its starts, from the first code to the end; no start predicts a start."""
    begins = [place.row * packing.source.shape[1] + place.speech for place in packing.places]
    return _shifted(begins, tokens, lengths, skip=start_tokens - 1)


def _shifted(begins: list[int], tokens: Tensor, lengths: Tensor, *, skip: int) -> tuple[Tensor, Tensor]:
    order = torch.arange(tokens.shape[1] - 1, device=tokens.device)
    predicts = (order >= skip) & (order < lengths[:, None] - 1)
    where = torch.tensor(begins, device=tokens.device)[:, None] + order
    return where[predicts], tokens[:, 1:][predicts]


def chunked_cross_entropy(
    hidden: Tensor, head: Tensor, targets: Tensor, *, chunk: int, shares: Tensor | None = None
) -> TokenLoss:
    """Summed cross-entropy of a bias-free head.

    Args:
        hidden: (M, D).
        head: (V, D).
        targets: (M,) int64.
        chunk: positions whose logits (chunk, V) exist at a time.
        shares: (V, V) distribution that each target stands for; None means the target alone.
    """
    total = hidden.new_zeros((), dtype=torch.float32)
    recompute = torch.is_grad_enabled() and len(targets) > chunk
    for piece, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
        if recompute:
            part = checkpoint(
                _summed, piece, head, wanted, shares, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = _summed(piece, head, wanted, shares)
        total = total + part
    return TokenLoss(total, len(targets))


def _summed(hidden: Tensor, head: Tensor, targets: Tensor, shares: Tensor | None) -> Tensor:
    if shares is not None:
        return soft_cross_entropy(functional.linear(hidden, head), targets, shares)
    return functional.cross_entropy(functional.linear(hidden, head).float(), targets, reduction="sum")


def stream_losses(
    hidden: Tensor,
    packing: Packing,
    heads: tuple[Tensor, Tensor],
    text: tuple[Tensor, Tensor],
    speech: tuple[Tensor, Tensor],
    *,
    start_tokens: int = 1,
    chunk: int = 2048,
    shares: Tensor | None = None,
) -> tuple[TokenLoss, TokenLoss]:
    """Loss of the text and of the speech.

    Args:
        hidden: (R, L, D) of the packed rows.
        packing: how they were packed.
        heads: weights of the text head and of the speech head.
        text: tokens (B, N) and lengths (B,).
        speech: tokens (B, S) and lengths (B,).
        start_tokens: starts before the first code.
        chunk: as in `chunked_cross_entropy`.
        shares: of the speech tokens, as there.
    """
    flat = hidden.flatten(0, 1)
    text_at, text_wanted = text_targets(packing, *text)
    speech_at, speech_wanted = speech_targets(packing, *speech, start_tokens=start_tokens)
    return (
        chunked_cross_entropy(flat[text_at], heads[0], text_wanted, chunk=chunk),
        chunked_cross_entropy(flat[speech_at], heads[1], speech_wanted, chunk=chunk, shares=shares),
    )
