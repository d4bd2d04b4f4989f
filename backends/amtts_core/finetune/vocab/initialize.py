"""Initial embeddings of new tokens (rows of the text embedding and of the head alike), and where each came from.

romanized   mean of the existing embeddings of the symbol's sounds, a little noise, rescaled to the median norm
mean        mean of all existing embeddings (all new ones are then equal: a baseline, not a recommendation)
normal      drawn with mean and covariance of the existing embeddings
zero        zeros
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from amtts_core.finetune.vocab.sounds import ingredients

Init = Literal["romanized", "mean", "normal", "zero"]
INITS: tuple[Init, ...] = ("romanized", "mean", "normal", "zero")
_NOISE = 0.05
"""Norm of the noise that distinguishes letters of the same sounds, as a fraction of the embedding's norm."""


@dataclass(frozen=True)
class InitSource:
    """Where a new token's embedding comes from: the init that is used, and the existing tokens it is the mean of."""

    init: Init
    parts: tuple[str, ...] = ()


def choose_sources(
    new: Mapping[str, int],
    old: Mapping[str, int],
    *,
    init: Init,
    consonants: Sequence[str] = (),
) -> dict[str, InitSource]:
    """New token -> where its embedding comes from. `romanized` becomes `normal` where no token has its sounds.

    Args:
        new: new tokens.
        old: token string -> id of the existing vocabulary.
        init: what the user asked for.
        consonants: new tokens that stand for a consonant alone.
    """
    if init != "romanized":
        return {name: InitSource(init) for name in new}
    alone = set(consonants)
    found = {}
    for name in new:
        parts = tuple(ingredients(name, old, consonant=name in alone))
        found[name] = InitSource("romanized", parts) if parts else InitSource("normal")
    return found


def initial_embedding(
    source: InitSource, token: str, table: Tensor, old: Mapping[str, int], *, seed: int, tensor: str
) -> Tensor:
    """The embedding of a new token, (D,) float32; of a bias a single value, ().

    Args:
        source: where it comes from.
        token: seeds the noise, so that it does not depend on the other new tokens.
        table: existing embeddings, (V, D) float32, or (V,) of a bias.
        old: token string -> id.
        seed: of the noise.
        tensor: name of the tensor; its noise differs from other tensors'.
    """
    if source.init == "zero":
        return torch.zeros(table.shape[1:])
    if source.init == "mean":
        return table.mean(0)
    digest = hashlib.sha256(f"{seed} {tensor} {token}".encode("utf-8", "surrogatepass")).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    if source.init == "normal":
        if len(table) < 2:
            return table.mean(0)
        centered = table - table.mean(0)
        weights = torch.randn(len(table), generator=generator) / (len(table) - 1) ** 0.5
        return table.mean(0) + torch.tensordot(weights, centered, dims=1)
    mean = table[[old[part] for part in source.parts]].mean(0)
    if table.ndim == 1:
        return mean
    noise = torch.randn(table.shape[1], generator=generator)
    embedding = mean + noise * (_NOISE * mean.norm() / noise.norm())
    return embedding * (table.norm(dim=1).median() / embedding.norm().clamp_min(1e-12))
