"""Which codebook entries are in use, and a new start for those that are not.

The published training relies on small, normalised entries alone; with little data most of them fall out of use
within a few steps. Restarting them at a value of the current batch is Jukebox's remedy (Dhariwal et al. 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CodebookUse(nn.Module):
    """A moving average of how often each entry is chosen per step; K codebooks of V entries.

    Args:
        num_codebooks, cardinality: K, V.
        restart_below: an entry chosen less often per step than this restarts; 0 never.
        decay: of the average.
    """

    uses: Tensor

    def __init__(
        self, num_codebooks: int, cardinality: int, *, restart_below: float, decay: float = 0.98
    ) -> None:
        super().__init__()
        self.restart_below, self.decay = restart_below, decay
        # Nothing is in use yet, so the first training step starts every entry at a value that really occurs.
        self.register_buffer("uses", torch.zeros(num_codebooks, cardinality))

    def perplexity(self) -> Tensor:
        """Entries in use, (): exp of the entropy of the averages, mean over codebooks."""
        share = self.uses / self.uses.sum(dim=1, keepdim=True).clamp(min=1e-9)
        return torch.special.entr(share).sum(dim=1).exp().mean()

    @torch.no_grad()
    def count(self, book: int, codes: Tensor) -> None:
        """Takes the codes of a step, of any shape."""
        uses = torch.bincount(codes.flatten(), minlength=self.uses.shape[1]).to(self.uses)
        if _several():
            torch.distributed.all_reduce(uses)
        self.uses[book].mul_(self.decay).add_(uses, alpha=1 - self.decay)

    @torch.no_grad()
    def restart(self, book: int, entries: nn.Parameter, latents: Tensor) -> None:
        """Turns the entries (V, D) of codebook `book` that are out of use towards values among `latents` (B, D, L).

        Entries are looked up by direction alone, so they keep the codebook's usual length: values of a young
        encoder are tiny, and entries as small let it grow without bound.
        """
        unused = self.uses[book] < self.restart_below
        number = int(unused.sum())
        if not number:
            return
        values = latents.transpose(1, 2).flatten(0, 1)
        picked = values[torch.randint(len(values), (number,), device=values.device)].to(entries.dtype)
        if _several():  # all processes must hold the same codebook
            torch.distributed.broadcast(picked, 0)
        usual = entries.data.norm(dim=1).median()
        entries.data[unused] = nn.functional.normalize(picked) * usual
        self.uses[book, unused] = max(0.5, 2 * self.restart_below)


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
