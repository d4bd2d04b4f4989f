"""Which frames belong to which symbol: the prior's score of every pair, and the best monotonic path through it.

Kim et al. 2020 (Glow-TTS) and 2021 (VITS), section 2.2. Scores are float32 whatever the precision of the rest:
exp(-2 log sigma) leaves the range of half precision.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from amtts_core.nn.monotonic_alignment_search import monotonic_durations


def alignment_score(latent: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-likelihood of each frame under each symbol's prior.

    Args:
        latent: (B, C, L) of the flow.
        mean, log_std: (B, C, N) of the prior.

    Returns:
        (B, L, N) float32.
    """
    with torch.autocast(latent.device.type, enabled=False):
        latent, mean, log_std = latent.float(), mean.float(), log_std.float()
        precision = torch.exp(-2 * log_std)
        constant = (-0.5 * math.log(2 * math.pi) - log_std - 0.5 * mean.square() * precision).sum(
            1, keepdim=True
        )
        squares = (-0.5 * latent.square()).transpose(1, 2) @ precision
        return constant + squares + latent.transpose(1, 2) @ (mean * precision)


def best_durations(score: Tensor, text_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """(B, L, N) scores -> (B, N) frames of each symbol on the best path, on the scores' device."""
    found = monotonic_durations(
        score.detach().transpose(1, 2).cpu().numpy(), text_lengths.cpu().numpy(), frame_lengths.cpu().numpy()
    )
    return torch.from_numpy(found).to(score.device)


def owners(ends: Tensor, frames: int) -> Tensor:
    """(B, N) frames after which each symbol ends -> (B, L) index of the symbol that each frame belongs to."""
    places = torch.arange(frames, device=ends.device)
    found = torch.searchsorted(ends, places.expand(len(ends), -1).contiguous(), right=True)
    return found.clamp(max=ends.shape[1] - 1)


def expanded(values: Tensor, owner: Tensor) -> Tensor:
    """(B, C, N) values of symbols -> (B, C, L) of the frames that belong to them."""
    return values.gather(2, owner[:, None].expand(-1, values.shape[1], -1))


def path_picture(durations: Tensor, frames: int) -> Tensor:
    """(N,) durations -> (N, L) picture, 1 on the path."""
    owner = owners(durations[None].cumsum(1), frames)[0]
    picture = torch.zeros(len(durations), frames)
    picture[owner.cpu(), torch.arange(frames)] = 1.0
    return picture
