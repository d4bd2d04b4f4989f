"""What both codecs do about codebook entries that nobody uses: restart them at a value of the current step.

Source: Dhariwal et al. 2020 (Jukebox). Every entry gives each vector of a step a random priority; the highest of all
    batches of
all processes wins, so a step does not depend on how many processes share it. K codebooks, V entries, D values.
"""

from __future__ import annotations

import torch
from torch import Tensor

from amtts_core.contract.learner import AllReduce


class DeadCodeReplacement:
    """For each entry, the vector of this step that it would restart at.

    Args:
        uses: (K, V) tensor on the device where it runs.
        dim: D.
    """

    def __init__(self, uses: Tensor, dim: int) -> None:
        self._priorities = torch.zeros_like(uses, dtype=torch.float64)  # 0 before any vector
        self._candidates = torch.zeros(*uses.shape, dim, device=uses.device)

    def add(self, codebook: int, vectors: Tensor) -> None:
        """Adds the vectors (N, D), N > 0, that codebook number `codebook` quantized in a batch."""
        priorities = torch.rand(self._priorities.shape[1:], dtype=torch.float64, device=vectors.device)
        picked = vectors[torch.randint(len(vectors), priorities.shape, device=vectors.device)]
        better = priorities > self._priorities[codebook]
        self._priorities[codebook] = torch.where(better, priorities, self._priorities[codebook])
        self._candidates[codebook] = torch.where(better[:, None], picked, self._candidates[codebook])

    def choose(self, entries: Tensor, all_reduce: AllReduce) -> Tensor:
        """(n, D) vectors for the n entries that are True in (K, V); every process calls it and gets the same."""
        own = self._priorities[entries]
        highest = own.clone()
        all_reduce.maximum(highest)
        picked = torch.where((own == highest)[:, None], self._candidates[entries], 0.0)
        all_reduce.sum(picked)
        return picked


def uses_after_restart(restart_below: float) -> float:
    """How often an entry counts as used when it restarts: enough to be tried for a while."""
    return max(0.5, 2 * restart_below)


def perplexity(uses: Tensor) -> Tensor:
    """Entries in use, (): exp of the entropy of the use counts (K, V), mean over codebooks."""
    fractions = uses / uses.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return torch.special.entr(fractions).sum(dim=1).exp().mean()
