"""Where speech looks in its text: the attention of one layer, for a loss that aligns one head, and for people to see.

Nothing is hooked: the network hands out what entered the layer, whose weights are used once more. B items, N text
positions, S speech positions, R packed rows of L positions, H heads of F channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.speech_lm.packing import Packing
from amtts_core.speech_lm.step_model import DecoderModules, rotate

ALIGNMENT_DEPTH = 0.4
"""Share of the depth at which published networks align: Chatterbox' own analyzer reads the heads (9, 2), (12, 15) and
(13, 11) of 30 layers (its `alignment_stream_analyzer.py`), 0.39 of the depth on average."""


def alignment_layer(layers: int) -> int:
    """Number of the block whose attention follows the text, of so many."""
    return round(ALIGNMENT_DEPTH * (layers - 1))


def query_and_key(
    modules: DecoderModules, layer: int, hidden: Tensor, positions: Tensor, *, heads: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """Queries and keys of some heads of a block, with gradients.

    Args:
        modules: of the network.
        layer: number of the block.
        hidden: (R, L, D), what enters it.
        positions: (R, L), for rotary positions.
        heads: which.

    Returns:
        Two of (R, H, L, F) float32, queries scaled.
    """
    block = modules.blocks[layer]
    bias: Tensor | None = block.qkv.bias
    weight = block.qkv.weight.unflatten(0, (3, modules.heads, -1))[:2, heads]
    own = None if bias is None else bias.unflatten(0, (3, modules.heads, -1))[:2, heads].flatten()
    fused = functional.linear(block.attention_norm(hidden), weight.flatten(0, 2), own).float()
    query, key = fused.unflatten(-1, weight.shape[:3]).permute(2, 0, 3, 1, 4)
    if modules.rotation is not None:
        cosine, sine = (part[:, None] for part in modules.rotation(positions))
        query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
    return query * query.shape[-1] ** -0.5, key


def text_attention_log_probs(
    query: Tensor, key: Tensor, packing: Packing, *, text: tuple[int, int], speech: tuple[int, int]
) -> Tensor:
    """Log of the attention from speech to text.

    Args:
        query, key: (R, H, L, F) of `query_and_key`.
        packing: how the rows were packed.
        text: segment of the text, and its width N.
        speech: segment of the speech, and its width S.

    Returns:
        (B, H, S, N) float32; meaningless beyond an item's lengths. A row sums to what the text gets of the attention.
    """
    mask, length = packing.mask(), query.shape[2]
    order = torch.arange(length, device=query.device)
    visible = (order[:, None] >= order) if mask is None else mask
    log_probs = (query @ key.transpose(-1, -2)).masked_fill(~visible, -torch.inf).log_softmax(-1)
    row, at = packing.places(*speech)
    _, seen = packing.places(*text)
    return log_probs[row[..., None], :, at[..., None], seen[:, None]].permute(0, 3, 1, 2)
