"""Where the codes look in their text: one head of one layer, for a loss that makes it walk through the text.

B items, N text rows with their marks, S code rows, P prefix rows, L packed rows, D channels.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.nn.forward_sum_loss import forward_sum_loss
from amtts_indextts2.trunk import Block, Trunk


def alignment_layer(trunk: Trunk) -> int:
    """Number of the block at 0.4 of the depth."""
    return round(0.4 * (len(trunk.blocks) - 1))


def text_log_shares(
    trunk: Trunk, hidden: Tensor, text_begin: int, text_tensors: Tensor, code_rows: int, *, head: int = 0
) -> Tensor:
    """What one head of the alignment layer looks at, with gradients.

    Args:
        trunk: the trunk.
        hidden: (B, L, D), what enters that layer; each item's rows stand together.
        text_begin: rows before the text, P.
        text_tensors: (B,) rows of each text with its marks; the codes follow.
        code_rows: code rows S.
        head: which head.

    Returns:
        (B, S, N) log of the attention from codes to text, float32; meaningless beyond an item's lengths.
    """
    block = cast(Block, trunk.blocks[alignment_layer(trunk)])
    qkv = block.attention.qkv
    weight, bias = (
        part.unflatten(0, (3, trunk.heads, -1))[:2, head].flatten(0, 1) for part in (qkv.weight, qkv.bias)
    )
    query, key = functional.linear(block.norm_attention(hidden), weight, bias).float().chunk(2, dim=-1)
    scores = query @ key.transpose(1, 2) * query.shape[-1] ** -0.5
    order = torch.arange(hidden.shape[1], device=hidden.device)
    shares = scores.masked_fill(order > order[:, None], -torch.inf).log_softmax(-1)
    items = torch.arange(len(hidden), device=hidden.device)[:, None, None]
    speaks = text_begin + text_tensors[:, None, None] + torch.arange(code_rows, device=hidden.device)[:, None]
    reads = text_begin + torch.arange(int(text_tensors.max()), device=hidden.device)
    return shares[items, speaks.clamp(max=len(order) - 1), reads.clamp(max=len(order) - 1)]


def alignment_loss(
    trunk: Trunk, hidden: Tensor, text_begin: int, text_lengths: Tensor, code_rows: Tensor
) -> Tensor:
    """The loss of that head in a batch, a scalar.

    Args:
        trunk: the trunk.
        hidden: as in `text_log_shares`.
        text_begin: rows before the text.
        text_lengths: (B,) tokens without marks; an item without text does not count.
        code_rows: (B,) code rows of each item.
    """
    shares = text_log_shares(trunk, hidden, text_begin, text_lengths + 2, int(code_rows.max()))
    counts = text_lengths > 0
    return forward_sum_loss(shares, code_rows * counts, (text_lengths + 2) * counts)
