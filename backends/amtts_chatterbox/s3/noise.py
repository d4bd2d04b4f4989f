"""Random numbers of speech that depend on a seed and on the frame they are for, and on nothing else.

So speech does not change with what else is in a batch, and a stream draws for each frame what the whole would.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

from amtts_chatterbox.s3.vocoder import HARMONICS, HOP

BLOCK = 64
"""Frames that are drawn together."""


def _generator(*key: object) -> torch.Generator:
    digest = hashlib.blake2b(":".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def frame_noise(seed: int, purpose: str, *, first: int, count: int, width: int) -> Tensor:
    """Normal numbers (count, width) for the frames from `first` on.

    Args:
        seed: of the speech.
        purpose: what they are for; other purposes have other numbers.
        first: frame of the first row.
        count: of frames.
        width: numbers of a frame.
    """
    if not count:
        return torch.zeros(0, width)
    begin, end = first // BLOCK, -(-(first + count) // BLOCK)
    drawn = [
        torch.randn(BLOCK, width, generator=_generator(seed, purpose, block)) for block in range(begin, end)
    ]
    return torch.cat(drawn)[first - begin * BLOCK :][:count]


def source_noise(seed: int, *, first: int, count: int) -> Tensor:
    """Noise of the vocoder's source for frames from `first` on, (9, 480 * count)."""
    rows = frame_noise(seed, "source", first=first, count=count, width=HARMONICS * HOP)
    return rows.view(count, HARMONICS, HOP).transpose(0, 1).reshape(HARMONICS, count * HOP)


def source_phase(seed: int) -> Tensor:
    """Phases of the harmonics at the start of speech, (9,) in [-pi, pi)."""
    return (torch.rand(HARMONICS, generator=_generator(seed, "phase")) * 2 - 1) * math.pi
