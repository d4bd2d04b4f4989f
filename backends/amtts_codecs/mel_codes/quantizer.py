"""Residual vector quantisation with moving-average codebooks that do not collapse.

Sources: van den Oord et al. 2017 (VQ-VAE, appendix A: the moving average), Dhariwal et al. 2020 (Jukebox: entries
that fall out of use restart at a value of the current batch), Zeghidour et al. 2021 (SoundStream: residual stages).
N vectors, K codebooks, V entries, D values an entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Quantized:
    """What became of N vectors.

    Attributes:
        values: (N, D), with the gradient of the input (straight-through).
        codes: (N, K) int64.
        commitment: mean squared distance of the input to `values`, a scalar.
    """

    values: Tensor
    codes: Tensor
    commitment: Tensor


class ResidualQuantizer(nn.Module):
    """K codebooks of V entries; each codes what the ones before have left over.

    Args:
        num_codebooks, cardinality, dim: K, V, D.
        decay: of the moving averages.
        restart_below: an entry used less often per step than this restarts.
    """

    codebook: Tensor
    uses: Tensor
    totals: Tensor

    def __init__(
        self, num_codebooks: int, cardinality: int, dim: int, *, decay: float, restart_below: float
    ) -> None:
        super().__init__()
        self.decay, self.restart_below = decay, restart_below
        self.register_buffer("codebook", torch.randn(num_codebooks, cardinality, dim) * 0.3)
        # Nothing is in use yet, so the first training step starts every entry at a value that really occurs.
        self.register_buffer("uses", torch.zeros(num_codebooks, cardinality))
        self.register_buffer("totals", torch.zeros(num_codebooks, cardinality, dim))

    def forward(self, vectors: Tensor) -> Quantized:
        """vectors (N, D) -> `Quantized`; in training mode also moves the codebooks."""
        residual, chosen = vectors.detach().float(), []
        for book in range(len(self.codebook)):
            if self.training:
                self._restart(book, residual)
            codes = torch.cdist(residual, self.codebook[book]).argmin(dim=1)
            chosen.append(codes)
            rest = residual - self.codebook[book][codes]
            if self.training:
                self._move(book, residual, codes)
            residual = rest
        values = vectors.detach() - residual
        commitment = functional.mse_loss(vectors, values)
        return Quantized(vectors + (values - vectors).detach(), torch.stack(chosen, dim=1), commitment)

    def lookup(self, codes: Tensor) -> Tensor:
        """Codes (..., K'), K' at most K -> values (..., D)."""
        books = codes.shape[-1]
        parts = [self.codebook[book][codes[..., book]] for book in range(books)]
        return torch.stack(parts).sum(dim=0)

    def perplexity(self) -> Tensor:
        """Entries in use, a scalar: exp of the entropy of the moving use counts, averaged over codebooks."""
        share = self.uses / self.uses.sum(dim=1, keepdim=True).clamp(min=1e-9)
        return torch.special.entr(share).sum(dim=1).exp().mean()

    @torch.no_grad()
    def _move(self, book: int, vectors: Tensor, codes: Tensor) -> None:
        """Draws each entry towards the mean of the vectors that chose it."""
        uses = torch.zeros_like(self.uses[book]).index_add_(0, codes, torch.ones_like(vectors[:, 0]))
        totals = torch.zeros_like(self.totals[book]).index_add_(0, codes, vectors)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(uses)
            torch.distributed.all_reduce(totals)
        self.uses[book].mul_(self.decay).add_(uses, alpha=1 - self.decay)
        self.totals[book].mul_(self.decay).add_(totals, alpha=1 - self.decay)
        self.codebook[book] = self.totals[book] / self.uses[book].clamp(min=1e-6)[:, None]

    @torch.no_grad()
    def _restart(self, book: int, vectors: Tensor) -> None:
        dead = self.uses[book] < self.restart_below
        number = int(dead.sum())
        if number and len(vectors):
            picked = vectors[torch.randint(len(vectors), (number,), device=vectors.device)]
            new_uses = max(0.5, 2 * self.restart_below)
            self.codebook[book, dead] = picked
            self.uses[book, dead] = new_uses
            self.totals[book, dead] = picked * new_uses
