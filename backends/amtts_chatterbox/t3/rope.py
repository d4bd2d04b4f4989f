"""Rotary positions (Su et al. 2021) with the frequency scaling of Llama 3, half-split rotation.

Knows angles only. L positions, F head channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from amtts_chatterbox.t3.config import RopeConfig


def frequencies(config: RopeConfig, head_dim: int) -> Tensor:
    """Radians per position of each rotated pair, (F / 2,) float32.

    Llama 3 (Meta 2024, `llama3` scaling): wavelengths above `original_positions / low_freq_factor` are stretched by
    `factor`, those below `original_positions / high_freq_factor` stay, and between them the two are mixed linearly
    in the number of turns that the original positions hold.
    """
    # Written so that float32 rounds as in the published inference: an error of 1e-7 here is 1e-4 at position 1000.
    plain = 1.0 / config.theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    turns = config.original_positions / (2 * math.pi / plain)
    low, high = config.low_freq_factor, config.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * plain / config.factor + kept * plain


def rotation(positions: Tensor, freqs: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines: positions (..., L), freqs (F / 2,) -> two of (..., L, F) float32.

    The sines of the first half are negative, so that `rotate` needs no sign.
    """
    angles = positions[..., None].float() * freqs.to(positions.device)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], dim=-1), torch.cat([-sine, sine], dim=-1)


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns channel i together with channel i + F / 2; heads (..., L, F), the rest broadcast to it."""
    return heads * cosine + heads.roll(heads.shape[-1] // 2, dims=-1) * sine
