"""Which codebook entries are in use, and a new start for those that are not.

The published training relies on small, normalized entries alone; with little data most of them fall out of use
within a few steps. Restarting them at a value of the current batch is Jukebox's remedy (Dhariwal et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amtts_codecs.restarts import DeadCodeReplacement, perplexity, uses_after_restart
from amtts_core.contract.learner import AllReduce


@dataclass
class _Gathered:
    """What the batches of a step have shown.

    Attributes:
        uses: (K, V) how often each entry was chosen.
        replacement: latents for entries that restart.
    """

    uses: Tensor
    replacement: DeadCodeReplacement


class CodebookUse(nn.Module):
    """A moving average of how often each entry is chosen per step; K codebooks of V entries of D values.

    Args:
        num_codebooks, cardinality, dim: K, V, D.
        restart_below: an entry chosen less often per step than this restarts; 0 never.
        decay: of the average.
    """

    uses: Tensor

    def __init__(
        self,
        num_codebooks: int,
        cardinality: int,
        dim: int,
        *,
        restart_below: float,
        decay: float = 0.98,
    ) -> None:
        super().__init__()
        self.dim, self.restart_below, self.decay = dim, restart_below, decay
        # Nothing is in use yet, so the first training step turns every entry towards a value that really occurs.
        self.register_buffer("uses", torch.zeros(num_codebooks, cardinality))
        self._gathered: _Gathered | None = None

    def perplexity(self) -> Tensor:
        """Entries in use, (): exp of the entropy of the averages, mean over codebooks."""
        return perplexity(self.uses)

    def begin_step(self) -> None:
        """Gathers from nothing."""
        self._gathered = _Gathered(
            uses=torch.zeros_like(self.uses), replacement=DeadCodeReplacement(self.uses, self.dim)
        )

    @torch.no_grad()
    def watch(self, codebook: int, latents: Tensor, codes: Tensor) -> None:
        """Takes in the latents (B, D, L) and codes (B, L) of a batch; nothing outside of a step."""
        into = self._gathered
        if into is None or not codes.numel():
            return
        values = latents.detach().float().transpose(1, 2).flatten(0, 1)
        into.uses[codebook] += torch.bincount(codes.flatten(), minlength=self.uses.shape[1]).to(self.uses)
        into.replacement.add(codebook, values)

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce, codebooks: Sequence[nn.Parameter]) -> None:
        """Moves the averages and turns entries that are out of use towards latents of this step.

        Entries are looked up by direction alone, so they keep the codebook's usual length: values of a young
        encoder are tiny, and entries as small let it grow without bound.

        Args:
            all_reduce: over all processes.
            codebooks: the entries (V, D) of each codebook.
        """
        if self._gathered is None:
            return
        seen, self._gathered = self._gathered, None
        all_reduce.sum(seen.uses)
        if not bool(seen.uses.any()):
            return
        fresh = not bool(self.uses.any())
        self.uses.mul_(self.decay).add_(seen.uses, alpha=1 - self.decay)
        if not self.restart_below:
            return
        unused = torch.ones_like(self.uses, dtype=torch.bool) if fresh else self.uses < self.restart_below
        if not bool(unused.any()):
            return
        turned = torch.zeros(*self.uses.shape, self.dim, device=self.uses.device)
        turned[unused] = nn.functional.normalize(seen.replacement.choose(unused, all_reduce))
        for entries, rows, values in zip(codebooks, unused, turned, strict=True):
            usual = entries.data.norm(dim=1).median()
            entries.data[rows] = (values[rows] * usual).to(entries.dtype)
        self.uses[unused] = uses_after_restart(self.restart_below)
