"""The codes of one item: which ids were chosen, what is fed next, and when the speech is over.

Codebook k speaks `delays[k]` steps after codebook 0 (the delay pattern of MusicGen, Copet et al. 2023), so a step's
codes can depend on the coarser codes of the same frame. One codebook is the case of one delay, 0. Knows ids and
lengths; no network. K codebooks, T frames.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Decoded:
    """What was spoken.

    Attributes:
        codes: (T, K) int64.
        ended: True where the network ended it, False where the longest length did.
    """

    codes: Tensor
    ended: bool


class CodeStream:
    """The codes of one item. Codebook 0 ends the speech; then each other codebook speaks its last frames.

    Args:
        delays: steps that each codebook waits, the first 0.
        end: id of codebook 0 that ends the speech.
        pad: id that is fed where a codebook does not speak.
        min_frames: the speech does not end before.
        max_frames: it is ended there.

    Attributes:
        fed: the K ids that the next step is fed.
        over: nothing follows.
    """

    def __init__(
        self, delays: Sequence[int], *, end: int, pad: int, min_frames: int, max_frames: int
    ) -> None:
        self.min_frames, self._limit = min_frames, max_frames
        self._delays, self._last, self._end, self._pad = tuple(delays), max(delays), end, pad
        self._steps: list[list[int]] = []
        self._frames = -1
        self.fed: list[int] = []
        self.over = self.ended = False

    def append(self, step: int, ids: list[int]) -> None:
        """Appends the K ids that were chosen for a step, counted from 0."""
        if self._frames < 0:
            self.ended = ids[0] == self._end
            if self.ended or step >= self._limit:  # it may still end by itself after its last frame
                self._frames = step
        frames = self._frames if self._frames >= 0 else step + 1
        self.fed = fed = [
            code if delay <= step < frames + delay else self._pad
            for code, delay in zip(ids, self._delays, strict=True)
        ]
        if self._frames >= 0:
            fed[0] = self._end
        if not self.over:
            self._steps.append(fed)
            self.over = self._frames >= 0 and step + 1 >= self._frames + self._last

    @property
    def whole(self) -> int:
        """Frames of which every codebook has spoken."""
        spoken = max(0, len(self._steps) - self._last)
        return min(spoken, self._frames) if self._frames >= 0 else spoken

    def copied(self) -> CodeStream:
        """A copy that goes on by itself."""
        other = copy.copy(self)
        other._steps = list(self._steps)
        return other

    def frames(self, begin: int, end: int) -> Tensor:
        """(T, K) int64 of the whole frames from `begin` to `end`."""
        steps = torch.tensor(self._steps[begin:], dtype=torch.int64).view(-1, len(self._delays))
        return from_grid(steps, self._delays, end - begin)

    def decoded(self) -> Decoded:
        """What was spoken."""
        return Decoded(self.frames(0, self.whole), ended=self.ended)


IGNORED = -100
"""Target of a cell that has no loss."""


def to_grid(codes: Tensor, delays: Sequence[int], *, end: int, pad: int) -> tuple[Tensor, Tensor]:
    """Codes (T, K) -> inputs (S, K) and targets (S, K), int64, of S = T + max(last delay, 1) steps.

    Every code is a target exactly once, and the end of codebook 0 once: T * K + 1 targets, the rest is `IGNORED`.
    An input step is the target step before it, with padding where there is no target; codebook 0 stays at its end.
    """
    frames, codebooks = codes.shape
    steps = frames + max(max(delays), 1)
    targets = torch.full((steps, codebooks), IGNORED, dtype=torch.int64, device=codes.device)
    for codebook, delay in enumerate(delays):
        targets[delay : delay + frames, codebook] = codes[:, codebook]
    targets[frames, 0] = end
    spoken = torch.where(targets == IGNORED, pad, targets)
    spoken[frames:, 0] = end
    before = torch.full((1, codebooks), pad, dtype=torch.int64, device=codes.device)
    return torch.cat([before, spoken[:-1]]), targets


def from_grid(steps: Tensor, delays: Sequence[int], frames: int) -> Tensor:
    """Steps (S, K) -> codes (T, K) of `frames` T."""
    return torch.stack([steps[delay : delay + frames, k] for k, delay in enumerate(delays)], dim=1)
