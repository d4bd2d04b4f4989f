"""Resizes tensors whose first axis is indexed by text-token ids: a row follows its token, never its index.

Shapes: V old tokens, W new tokens, D channels, E additional rows at the end that belong to no token.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from amtts_core.finetune.vocab.initialize import Init, InitSource, choose_sources, initial_embedding
from amtts_core.finetune.vocab.plan import NEW, TokenPlan, plan_tokens


def resize_text_tensor(
    tensor: Tensor,
    plan: TokenPlan,
    old_vocab: Mapping[str, int],
    sources: Mapping[str, InitSource],
    *,
    name: str,
    extra: int = 0,
    seed: int = 0,
) -> Tensor:
    """A text-indexed tensor at the plan's new size.

    Args:
        tensor: (V + E, ...) of any floating dtype.
        plan: the old id of each token.
        old_vocab: token string -> old id.
        sources: new token -> where its embedding comes from.
        name: the tensor's name; its noise differs from other tensors'.
        extra: E; these rows stay at the end.
        seed: of the noise.

    Returns:
        (W + E, ...) in the same dtype; rows of old tokens are bit-identical.

    Raises:
        ValueError: `tensor` does not have V + E rows.
    """
    if tensor.shape[0] != plan.old_size + extra:
        raise ValueError(
            f"'{name}' has {tensor.shape[0]} rows, its tokenizer {plan.old_size} tokens + {extra}"
        )
    resized = tensor.new_zeros((plan.new_size + extra, *tensor.shape[1:]))
    old_ids = torch.tensor(plan.sources)
    old = old_ids != NEW
    resized[: plan.new_size][old] = tensor[old_ids[old]]
    if extra:
        resized[plan.new_size :] = tensor[plan.old_size :]
    table = tensor[: plan.old_size].float()
    for token, number in plan.new.items():
        made = initial_embedding(sources[token], token, table, old_vocab, seed=seed, tensor=name)
        resized[number] = made.to(tensor.dtype)
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
    """An embedding table (V + E, D) for another vocabulary, (W + E, D). See `resize_text_tensor`.

    Args:
        embedding: the existing one.
        old_vocab: its token string -> id, see `load_vocab_mapping`.
        new_vocab: the new one.
        init: how new embeddings are initialized.
        extra: E.
        seed: of the noise.
    """
    plan = plan_tokens(old_vocab, new_vocab, old_size=embedding.shape[0] - extra)
    sources = choose_sources(plan.new, old_vocab, init=init)
    return resize_text_tensor(embedding, plan, old_vocab, sources, name="embedding", extra=extra, seed=seed)


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
    plan = plan_tokens(old_vocab, new_vocab, old_size=weight.shape[0] - extra)
    sources = choose_sources(plan.new, old_vocab, init=init)
    resized = resize_text_tensor(weight, plan, old_vocab, sources, name="weight", extra=extra, seed=seed)
    if bias is None:
        return resized, None
    return resized, resize_text_tensor(bias, plan, old_vocab, sources, name="bias", extra=extra, seed=seed)
