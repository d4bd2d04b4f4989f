"""Which published tensors are indexed by text-token ids, and which tokenizer belongs to them, for each family.

Names are those of the published files, which surgery reads and writes; what our own networks call them is theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from amtts_core.contract.types import TextTensor
from amtts_core.errors import AmttsError, CheckpointError, command, nearest

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of published checkpoints.

    Attributes:
        name: backend name.
        rows: every text-indexed tensor; the first is an embedding.
        tokenizer: kind of the tokenizer file, see `amtts_core.tokenizers.published.mapping`.
        modes: what `--mode` can be.
        size_keys: keys of its config files that hold the number of text tokens.
        weights: names of the published weights, the likeliest first, as patterns.
    """

    name: str
    rows: tuple[TextTensor, ...]
    tokenizer: Literal["hf-json", "sentencepiece", "vits"]
    modes: tuple[str, ...]
    size_keys: tuple[str, ...]
    weights: tuple[str, ...]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="chatterbox",
            rows=(TextTensor("text_emb.weight", "embedding"), TextTensor("text_head.weight", "head")),
            tokenizer="hf-json",
            modes=("extend", "reuse"),
            size_keys=("text_tokens_dict_size",),
            weights=("t3*.safetensors", "t3*.pt", "*.safetensors", "*.pt", "*.pth"),
        ),
        Family(
            name="indextts2",
            rows=(
                TextTensor("text_embedding.weight", "embedding", num_extra_rows=1),
                TextTensor("text_head.weight", "head", num_extra_rows=1),
                TextTensor("text_head.bias", "bias", num_extra_rows=1),
            ),
            tokenizer="sentencepiece",
            modes=("extend",),
            size_keys=("number_text_tokens",),
            weights=("gpt*.safetensors", "gpt*.pth", "*.safetensors", "*.pth", "*.pt"),
        ),
        Family(
            name="vits",
            rows=(TextTensor("text_encoder.embed_tokens.weight", "embedding"),),
            tokenizer="vits",
            modes=("extend",),
            size_keys=("vocab_size",),
            weights=("model.safetensors", "pytorch_model.bin", "*.safetensors", "*.bin", "*.pth"),
        ),
    )
}
SPARE_ROWS = 32
"""Text rows beyond the tokenizer that count as padding, besides tables of a multiple of 64 rows."""
ALIASES = {"chatterbox-t3": "chatterbox", "t3": "chatterbox", "mms": "vits", "mms-tts": "vits"}


def get_family(name: str) -> Family:
    """The family that a backend name stands for.

    Raises:
        AmttsError: its vocabulary cannot be extended; names those that can.
    """
    family = FAMILIES.get(ALIASES.get(name, name))
    if family is None:
        raise AmttsError(
            f"backend '{name}' has no vocabulary that can be extended{nearest(name, FAMILIES)}",
            remedy=f"Choose one of: {', '.join(FAMILIES)}",
        )
    return family


def text_tokens(weights: Mapping[str, Tensor], family: Family) -> int:
    """How many text tokens the tensors have rows for, without rows that belong to no token.

    Raises:
        CheckpointError: a declared tensor is missing, their sizes differ, or another text tensor has as many rows.
    """
    sizes = {}
    for rows in family.rows:
        if rows.tensor not in weights:
            known = ", ".join(sorted(weights)[:3])
            raise CheckpointError(
                f"these weights are not of backend '{family.name}': they lack the tensor '{rows.tensor}' "
                f"(they hold {len(weights)} tensors, such as {known})"
            )
        sizes[rows.tensor] = weights[rows.tensor].shape[0] - rows.num_extra_rows
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"'{name}' {size}" for name, size in sizes.items())
        raise CheckpointError(f"these weights were resized only in part: text tokens of {shown}")
    size = next(iter(sizes.values()))
    full = {weights[rows.tensor].shape[0] for rows in family.rows}
    for name, tensor in weights.items():
        if (
            name not in sizes
            and "text_" in name
            and "pos" not in name
            and tensor.shape[:1]
            and (family.name != "vits" and tensor.shape[0] in full)
        ):
            raise CheckpointError(
                f"tensor '{name}' also has {tensor.shape[0]} text rows; this amtts does not know it"
            )
    return size


def fit_text_rows(
    weights: Mapping[str, Tensor], family: Family, tokens: int, *, source: str, remedy: str
) -> dict[str, Tensor]:
    """The tensors with as many text rows as a tokenizer has tokens: padding at the end is cut off, with a warning.

    Args:
        weights: under their published names.
        family: says which tensors are indexed by text tokens.
        tokens: of the tokenizer.
        source: of the weights, for messages.
        remedy: for a tokenizer that does not belong to them.

    Raises:
        CheckpointError: the rows are too few, or more than padding would explain.
    """
    size = text_tokens(weights, family)
    if size == tokens:
        return dict(weights)
    if size < tokens or (size - tokens >= SPARE_ROWS and size % 64):
        raise CheckpointError(
            f"{source} has rows for {size} text tokens, the tokenizer has {tokens}; they do not belong together",
            remedy=remedy,
        )
    logger.warning(
        "%s has rows for %d text tokens, the tokenizer has %d: the last %d rows belong to no token and are left out",
        source,
        size,
        tokens,
        size - tokens,
    )
    out = dict(weights)
    for rows in family.rows:
        table = weights[rows.tensor]
        extra = table[table.shape[0] - rows.num_extra_rows :]
        out[rows.tensor] = torch.cat([table[:tokens], extra])
    return out


def extend_remedy(backend: str, weights: object, *, tokenizer: object = "THEIR_TOKENIZER") -> str:
    """The command that makes published weights read Amharic."""
    words = ("amtts", "extend-vocab", "--backend", backend, "--checkpoint", weights, "--tokenizer", tokenizer)
    return f"Teach them Amharic letters first: {command(*words, '--add', 'fidel', '--out', 'NEW_FOLDER')}"
