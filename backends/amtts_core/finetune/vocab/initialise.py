"""First values of new rows, embedding and head alike, with a word for each row on where they came from.

romanized   mean of the old rows of the symbol's sounds, a little noise, rescaled to the table's median row norm
mean        mean of all old rows (then all new rows are equal: a comparison, not a choice)
normal      drawn with mean and covariance of the old rows
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
"""Norm of the noise that tells letters of one sound apart, as a share of the row's norm."""


@dataclass(frozen=True)
class RowOrigin:
    """Where a new row's values came from: the init that was used, and the old tokens it was made of."""

    init: Init
    parts: tuple[str, ...] = ()


def row_origins(
    new: Mapping[str, int],
    old: Mapping[str, int],
    *,
    init: Init,
    consonants: Sequence[str] = (),
) -> dict[str, RowOrigin]:
    """New token -> what its row is made of. Where no old token sounds like it, `romanized` becomes `normal`.

    Args:
        new: new tokens.
        old: token string -> id of the old vocabulary.
        init: what the user asked for.
        consonants: new tokens that stand for a consonant alone.
    """
    if init != "romanized":
        return {name: RowOrigin(init) for name in new}
    alone = set(consonants)
    found = {}
    for name in new:
        parts = tuple(ingredients(name, old, consonant=name in alone))
        found[name] = RowOrigin("romanized", parts) if parts else RowOrigin("normal")
    return found


def new_row(
    origin: RowOrigin, token: str, table: Tensor, old: Mapping[str, int], *, seed: int, tensor: str
) -> Tensor:
    """One row, (D,) float32, or a single value for a bias.

    Args:
        origin: what it is made of.
        token: names the row, so that its noise does not depend on the other rows.
        table: old rows of tokens, (V, D) float32, or (V,) for a bias.
        old: token string -> id.
        seed: of the noise.
        tensor: name of the tensor; its noise differs from other tensors'.
    """
    if origin.init == "zero":
        return torch.zeros(table.shape[1:])
    if origin.init == "mean":
        return table.mean(0)
    digest = hashlib.sha256(f"{seed} {tensor} {token}".encode("utf-8", "surrogatepass")).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    if origin.init == "normal":
        if len(table) < 2:
            return table.mean(0)
        centred = table - table.mean(0)
        weights = torch.randn(len(table), generator=generator) / (len(table) - 1) ** 0.5
        return table.mean(0) + torch.tensordot(weights, centred, dims=1)
    mean = table[[old[part] for part in origin.parts]].mean(0)
    if table.ndim == 1:
        return mean
    noise = torch.randn(table.shape[1], generator=generator)
    row = mean + noise * (_NOISE * mean.norm() / noise.norm())
    return row * (table.norm(dim=1).median() / row.norm().clamp_min(1e-12))
