"""Text tables of published weights with more rows than the tokenizer has tokens: some trainers pad them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from amtts_core.contract.published import PublishedFormat
from amtts_core.errors import AmttsError, CheckpointError, command
from amtts_core.finetune.vocab.published import num_text_tokens
from amtts_core.tokenizers.published.mapping import tokenizer_file

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)
SPARE_ROWS = 32
"""Text rows beyond the tokenizer that count as padding, besides tables of a multiple of 64 rows."""


def fit_text_rows(
    weights: Mapping[str, Tensor], published: PublishedFormat, tokens: int, *, source: str, remedy: str
) -> dict[str, Tensor]:
    """The tensors with as many text rows as a tokenizer has tokens: padding at the end is cut off, with a warning.

    Args:
        weights: under their published names.
        published: says which tensors are indexed by text tokens.
        tokens: of the tokenizer.
        source: of the weights, for messages.
        remedy: for a tokenizer that does not belong to them.

    Raises:
        CheckpointError: the rows are too few, or more than padding would explain.
    """
    import torch

    size = num_text_tokens(weights, published)
    if size == tokens:
        return dict(weights)
    if size < tokens or (size - tokens >= SPARE_ROWS and size % 64):
        raise CheckpointError(
            f"{source} with rows for {size} text tokens and a tokenizer of {tokens} do not belong together",
            remedy=remedy,
        )
    logger.warning(
        "%s: rows for %d text tokens, and the tokenizer has %d; the last %d rows belong to no token and are left out",
        source,
        size,
        tokens,
        size - tokens,
    )
    out = dict(weights)
    for text in published.text_tensors:
        table = weights[text.tensor]
        extra = table[table.shape[0] - text.num_extra_rows :]
        out[text.tensor] = torch.cat([table[:tokens], extra])
    return out


def extend_remedy(published: PublishedFormat, weights: Path) -> str:
    """The command that makes published weights read Amharic, with the tokenizer that lies beside them."""
    tokenizer = _tokenizer_beside(weights, published) or "THEIR_TOKENIZER"
    words = ["amtts", "extend-vocab", "--backend", published.name, "--checkpoint", weights]
    words += ["--tokenizer", tokenizer]
    return f"Teach them Amharic letters first: {command(*words, '--add', 'fidel', '--out', 'NEW_FOLDER')}"


def _tokenizer_beside(weights: Path, published: PublishedFormat) -> str:
    """A tokenizer of the backend's format in the folder of the weights; empty where there is none."""
    folder = weights if weights.is_dir() else weights.parent
    try:
        return str(tokenizer_file(folder, prefer=published.tokenizer).path)
    except AmttsError:
        known = (path for path in sorted(folder.glob("*.json")) if published.text_format.recognizes(path))
        return str(next(known, ""))
