"""What a network that learns codes may know about them: which of them mean nearly the same.

A codec's entries are vectors, and neighbors among them sound alike. Rows that begin as those vectors, and targets
that give neighbors a share, spare a small corpus from learning that 1024 times over. V entries, D values an entry,
R rows of a table (V codes and what stands after them), C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def soft_code_targets(vectors: Tensor, smoothing: float, *, num_tokens: int) -> Tensor:
    """Target distributions in place of one-hot targets.

    The target of a code is softmax(-d^2 / (smoothing * m)), d the distance of the entries and m the median over the
    codebook of the squared distance to the nearest neighbor.

    Args:
        vectors: codebook (V, D).
        smoothing: 0 gives one-hot targets; at 1 a typical nearest neighbor gets 1/e of the code's own probability.
        num_tokens: R >= V; tokens after the codes (start, end) keep one-hot targets.

    Returns:
        (R, R) float32: a distribution over tokens for each target token.
    """
    targets = torch.eye(num_tokens)
    if smoothing > 0:
        apart = torch.cdist(vectors.float(), vectors.float()).square()
        own = torch.eye(len(vectors), dtype=torch.bool)
        nearest = apart.masked_fill(own, torch.inf).amin(1).median().clamp(min=1e-12)
        targets[: len(vectors), : len(vectors)] = (-apart / (smoothing * nearest)).softmax(1)
    return targets


SPAN = 4
"""Consecutive frames that `noisy_codes` replaces together: about a tenth of a second."""


def code_embeddings(vectors: Tensor, channels: int, *, deviation: float, seed: int = 0) -> Tensor:
    """Embeddings (V, C) that keep the distances of the codebook (V, D): standardized, then a random projection."""
    centred = (vectors.float() - vectors.float().mean(0)) / vectors.float().std().clamp(min=1e-6)
    random = torch.Generator().manual_seed(seed)
    projected = centred @ torch.randn(vectors.shape[1], channels, generator=random)
    return projected * (deviation / projected.std().clamp(min=1e-6))


def initialize_code_embeddings(tables: Sequence[Tensor], vectors: Tensor, *, deviation: float) -> None:
    """Sets the first V embeddings of each table (R, C) to `code_embeddings` of the codebook (V, D), in place."""
    for table in tables:
        embeddings = code_embeddings(vectors, table.shape[1], deviation=deviation)
        with torch.no_grad():
            table[: len(embeddings)] = embeddings.to(table)


def noisy_codes(codes: Tensor, num_codes: int, rate: float) -> Tensor:
    """Replaces spans of input ids (B, S) or (B, S, K), so that a network learns to continue after its own errors.

    Each utterance has a rate of its own, uniform from 0 to twice `rate` (at most 1). Half of the spans of `SPAN` frames
    become random codes, the other half codes from elsewhere in the batch, which sound like speech. Ids from `num_codes`
    on are never replaced.
    """
    size = codes.shape[:2]
    rates = torch.rand(size[0], 1) * min(1.0, 2 * rate)
    begins = (torch.rand(size) < rates / SPAN).float()
    hit = functional.max_pool1d(functional.pad(begins, (SPAN - 1, 0))[:, None], SPAN, stride=1)[:, 0] > 0
    at_random = (torch.rand(size[0], -(-size[1] // SPAN)) < 0.5).repeat_interleave(SPAN, 1)[:, : size[1]]
    random_codes = torch.randint(num_codes, codes.shape).to(codes.device)
    shift = int(torch.randint(1, size[1] + 1, ()))
    other = codes.roll((1, shift), (0, 1))
    other = torch.where(other < num_codes, other, random_codes)
    shape = (*size, *[1] * (codes.dim() - 2))
    wrong = torch.where(at_random.view(shape).to(codes.device), random_codes, other)
    return torch.where(hit.view(shape).to(codes.device) & (codes < num_codes), wrong, codes)


def soft_cross_entropy(logits: Tensor, targets: Tensor, soft_targets: Tensor) -> Tensor:
    """Summed cross-entropy, (), of logits (M, R) against the soft_targets (R, R) of the ids targets (M,)."""
    return -(functional.log_softmax(logits.float(), dim=-1) * soft_targets[targets]).sum()
