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

from amtts_codecs.restarts import DeadCodeReplacement, perplexity, uses_after_restart
from amtts_core.contract.learner import AllReduce


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


@dataclass
class _Gathered:
    """What the batches of one step have chosen.

    Attributes:
        uses: (K, V) vectors that chose each entry.
        totals: (K, V, D) their sums.
        lottery: vectors for entries that restart.
    """

    uses: Tensor
    totals: Tensor
    replacement: DeadCodeReplacement


class ResidualQuantizer(nn.Module):
    """K codebooks of V entries; each codes what the ones before have left over.

    Codebooks move between `begin_step` and `end_step`, once, by all vectors seen in training mode since.

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
        # Nothing is in use yet, so the first training step moves every entry to a value that really occurs.
        self.register_buffer("uses", torch.zeros(num_codebooks, cardinality))
        self.register_buffer("totals", torch.zeros(num_codebooks, cardinality, dim))
        self._gathered: _Gathered | None = None

    def forward(self, vectors: Tensor) -> Quantized:
        """vectors (N, D) -> `Quantized`; in training mode also gathers what moves the codebooks."""
        residual, chosen = vectors.detach().float(), []
        for number in range(len(self.codebook)):
            codes = torch.cdist(residual, self.codebook[number]).argmin(dim=1)
            chosen.append(codes)
            rest = residual - self.codebook[number][codes]
            if self.training and self._gathered is not None and len(residual):
                self._watch(number, residual, codes, self._gathered)
            residual = rest
        values = vectors.detach() - residual
        commitment = functional.mse_loss(vectors, values)
        return Quantized(vectors + (values - vectors).detach(), torch.stack(chosen, dim=1), commitment)

    def lookup(self, codes: Tensor) -> Tensor:
        """Codes (..., K'), K' at most K -> values (..., D)."""
        num_codebooks = codes.shape[-1]
        parts = [self.codebook[number][codes[..., number]] for number in range(num_codebooks)]
        return torch.stack(parts).sum(dim=0)

    def perplexity(self) -> Tensor:
        """Entries in use, a scalar: exp of the entropy of the moving use counts, averaged over codebooks."""
        return perplexity(self.uses)

    def begin_step(self) -> None:
        """Gathers from nothing."""
        self._gathered = _Gathered(
            uses=torch.zeros_like(self.uses),
            totals=torch.zeros_like(self.totals),
            replacement=DeadCodeReplacement(self.uses, self.totals.shape[2]),
        )

    @torch.no_grad()
    def _watch(self, number: int, vectors: Tensor, codes: Tensor, into: _Gathered) -> None:
        # Summed by batch first, so that batches of one process and of two add up to the very same numbers.
        into.uses[number] += torch.zeros_like(self.uses[number]).index_add_(
            0, codes, torch.ones_like(vectors[:, 0])
        )
        into.totals[number] += torch.zeros_like(self.totals[number]).index_add_(0, codes, vectors)
        into.replacement.add(number, vectors)

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """Draws each entry towards the mean of the vectors that chose it; restarts those that nobody chooses."""
        if self._gathered is None:
            return
        seen, self._gathered = self._gathered, None
        all_reduce.sum(seen.uses)
        all_reduce.sum(seen.totals)
        if not bool(seen.uses.any()):
            return
        fresh = not bool(self.uses.any())
        self.uses.mul_(self.decay).add_(seen.uses, alpha=1 - self.decay)
        self.totals.mul_(self.decay).add_(seen.totals, alpha=1 - self.decay)
        self.codebook.copy_(self.totals / self.uses.clamp(min=1e-6)[..., None])
        dead = torch.ones_like(self.uses, dtype=torch.bool) if fresh else self.uses < self.restart_below
        if bool(dead.any()):
            self._restart(dead, seen, all_reduce)

    def _restart(self, dead: Tensor, seen: _Gathered, all_reduce: AllReduce) -> None:
        """Each dead entry (K, V) restarts at the vector of the highest random priority."""
        picked = seen.replacement.choose(dead, all_reduce)
        new_uses = uses_after_restart(self.restart_below)
        self.codebook[dead] = picked
        self.uses[dead] = new_uses
        self.totals[dead] = picked * new_uses
