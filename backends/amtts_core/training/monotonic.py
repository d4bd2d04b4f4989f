"""A loss that asks attention to walk through a text from left to right, without knowing when each symbol is said.

Source: the forward-sum loss of RAD-TTS (Shih et al. 2021, section 2.2) and One TTS Alignment (Badlani et al. 2022),
here on the attention of a decoder that reads its text as a prefix. B items, S speech positions, N text positions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e4
"""Log share of the CTC blank: no speech position may stand for nothing."""


def forward_sum_loss(log_shares: Tensor, speech_lengths: Tensor, text_lengths: Tensor) -> Tensor:
    """Minus the log of the summed probability of all monotonic walks, per speech position, in nats.

    A walk begins at the first text position, ends at the last, stays or goes one further at each speech position.

    Args:
        log_shares: (B, S, N) log of the attention that each speech position gives to each text position; a row may sum
            to less than 1. What lies beyond the lengths is ignored.
        speech_lengths, text_lengths: (B,). An item with more text than speech has no walk and counts 0.

    Returns:
        A scalar, float32.
    """
    count, _, symbols = log_shares.shape
    blank = log_shares.new_full((*log_shares.shape[:2], 1), NEVER, dtype=torch.float32)
    padded = torch.cat([blank, log_shares.float().clamp(min=NEVER)], dim=2)
    targets = torch.arange(1, symbols + 1, device=log_shares.device).expand(count, -1)
    total = functional.ctc_loss(
        padded.transpose(0, 1), targets, speech_lengths, text_lengths, reduction="sum", zero_infinity=True
    )
    return total / speech_lengths.sum().clamp(min=1)
