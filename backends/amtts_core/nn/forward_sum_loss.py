"""A loss that asks attention to walk through a text from left to right, without knowing when each symbol is said.

Source: the forward-sum loss of RAD-TTS (Shih et al. 2021, section 2.2) and One TTS Alignment (Badlani et al. 2022),
here on the attention of a decoder that reads its text as a prefix. B items, S speech positions, N text positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e4
"""Log share of the CTC blank: no speech position may stand for nothing."""


SPREAD = 0.07
"""How far a walk may leave the diagonal before it is implausible, as a share of the whole text."""


def forward_sum_loss(
    log_shares: Tensor, speech_lengths: Tensor, text_lengths: Tensor, *, spread: float = SPREAD
) -> Tensor:
    """Minus the log of the summed probability of all monotonic walks, per speech position, in nats.

    A walk begins at the first text position, ends at the last, stays or goes one further at each speech position.
    Nothing in the walk knows what is said: without a prior a network may hurry through the text at one symbol a
    position and wait at its end, which is just as monotonic (seen here; see docs/log.md). So walks near the diagonal
    are likelier: each position weighs exp(-d^2 / (2 spread^2)), d the distance to the diagonal.

    Args:
        log_shares: (B, S, N) log of the attention that each speech position gives to each text position; a row may sum
            to less than 1. What lies beyond the lengths is ignored.
        speech_lengths, text_lengths: (B,). An item with more text than speech has no walk and counts 0.
        spread: of the prior, as a share of the whole text; infinite for none.

    Returns:
        A scalar, float32.
    """
    count, positions, symbols = log_shares.shape
    blank = log_shares.new_full((*log_shares.shape[:2], 1), NEVER, dtype=torch.float32)
    spoken = torch.arange(positions, device=log_shares.device) / (speech_lengths[:, None] - 1).clamp(min=1)
    read = torch.arange(symbols, device=log_shares.device) / (text_lengths[:, None] - 1).clamp(min=1)
    prior = -((spoken[:, :, None] - read[:, None]) / spread).square() / 2
    padded = torch.cat([blank, (log_shares.float() + prior).clamp(min=NEVER)], dim=2)
    targets = torch.arange(1, symbols + 1, device=log_shares.device).expand(count, -1)
    total = functional.ctc_loss(
        padded.transpose(0, 1), targets, speech_lengths, text_lengths, reduction="sum", zero_infinity=True
    )
    return total / speech_lengths.sum().clamp(min=1)


def sine_rows(rows: int, channels: int, *, rate: float, deviation: float = 0.02) -> Tensor:
    """Position rows (rows, channels) of sines and cosines of row x rate (Vaswani et al. 2017).

    With the text at the rate of its pace, text and speech that belong together have like rows, which attention finds
    from the first step on (Ping et al. 2018, Deep Voice 3, section 3.5).

    Args:
        rows: positions.
        channels: of a row; half of them sines, half cosines, wavelengths from 6 to 2000 positions at rate 1.
        rate: how many positions of the other stream one of this one lasts.
        deviation: standard deviation of the values.
    """
    waves = 2 * math.pi / torch.logspace(math.log10(6), math.log10(2000), channels // 2, dtype=torch.float64)
    angles = torch.arange(rows, dtype=torch.float64)[:, None] * rate * waves
    table = torch.cat([angles.sin(), angles.cos(), angles.new_zeros(rows, channels % 2)], dim=1)
    return (deviation * math.sqrt(2) * table).float()
