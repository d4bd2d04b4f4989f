"""Resizes tensors whose first axis is indexed by text-token ids: rows go where their token goes, never by index.

Shapes: V old tokens, W new tokens, D channels, E rows at the end that belong to no token.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from amtts_core.finetune.vocab.initialise import Init, RowOrigin, new_row, row_origins
from amtts_core.finetune.vocab.plan import NEW, RowPlan, plan_rows


def resize_rows(
    tensor: Tensor,
    plan: RowPlan,
    old_vocab: Mapping[str, int],
    origins: Mapping[str, RowOrigin],
    *,
    name: str,
    extra: int = 0,
    seed: int = 0,
) -> Tensor:
    """A text-indexed tensor at the plan's new size.

    Args:
        tensor: (V + E, ...) of any floating dtype.
        plan: where each row comes from.
        old_vocab: token string -> old id.
        origins: new token -> what its row is made of.
        name: the tensor's name; sets its noise apart from other tensors'.
        extra: E; these rows stay at the end.
        seed: of the noise.

    Returns:
        (W + E, ...) in the same dtype; old rows are bit-identical.

    Raises:
        ValueError: `tensor` does not have V + E rows.
    """
    if tensor.shape[0] != plan.old_size + extra:
        raise ValueError(
            f"'{name}' has {tensor.shape[0]} rows, its tokenizer {plan.old_size} tokens + {extra}"
        )
    resized = tensor.new_zeros((plan.new_size + extra, *tensor.shape[1:]))
    sources = torch.tensor(plan.sources)
    old = sources != NEW
    resized[: plan.new_size][old] = tensor[sources[old]]
    if extra:
        resized[plan.new_size :] = tensor[plan.old_size :]
    table = tensor[: plan.old_size].float()
    for token, number in plan.new.items():
        row = new_row(origins[token], token, table, old_vocab, seed=seed, tensor=name)
        resized[number] = row.to(tensor.dtype)
    return resized


def resize_token_embeddings(
    embedding: Tensor,
    old_vocab: Mapping[str, int],
    new_vocab: Mapping[str, int],
    *,
    init: Init = "romanized",
    extra: int = 0,
    seed: int = 0,
) -> Tensor:
    """An embedding table (V + E, D) for another vocabulary, (W + E, D). See `resize_rows`.

    Args:
        embedding: the old table.
        old_vocab: its token string -> id, see `load_vocab_mapping`.
        new_vocab: the new one.
        init: how new rows start.
        extra: rows at the end that belong to no token.
        seed: of the noise.
    """
    plan = plan_rows(old_vocab, new_vocab, old_size=embedding.shape[0] - extra)
    origins = row_origins(plan.new, old_vocab, init=init)
    return resize_rows(embedding, plan, old_vocab, origins, name="embedding", extra=extra, seed=seed)


def resize_linear_layer(
    weight: Tensor,
    bias: Tensor | None,
    old_vocab: Mapping[str, int],
    new_vocab: Mapping[str, int],
    *,
    init: Init = "romanized",
    extra: int = 0,
    seed: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """Weight (V + E, D) and bias (V + E) of a head for another vocabulary. Arguments as `resize_token_embeddings`."""
    plan = plan_rows(old_vocab, new_vocab, old_size=weight.shape[0] - extra)
    origins = row_origins(plan.new, old_vocab, init=init)
    resized = resize_rows(weight, plan, old_vocab, origins, name="weight", extra=extra, seed=seed)
    if bias is None:
        return resized, None
    return resized, resize_rows(bias, plan, old_vocab, origins, name="bias", extra=extra, seed=seed)
