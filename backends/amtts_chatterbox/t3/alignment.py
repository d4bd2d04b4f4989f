"""Where speech looks in its text: the attention of one layer, computed on request and for that layer alone.

Nothing is hooked and nothing stays switched: the trunk runs up to the layer, whose weights are then used once more.
N text tokens, S speech tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.packing import Lengths, Packing, Widths, plan_packing
from amtts_chatterbox.t3.rope import rotate


def alignment_layer(layers: int) -> int:
    """Number of the block at 0.4 of the depth, where the alignments of published weights were found."""
    return round(0.4 * (layers - 1))


def text_log_shares(
    network: T3, hidden: Tensor, packing: Packing, symbols: int, codes: int, *, head: int = 0
) -> Tensor:
    """What one head of the alignment layer looks at in a packed batch, with gradients.

    Args:
        network: the network.
        hidden: (R, L, D), what enters that layer.
        packing: how the rows were packed.
        symbols: text positions N of the longest utterance.
        codes: speech positions S.
        head: which head.

    Returns:
        (B, S, N) log of the attention from speech to text, float32; meaningless beyond an utterance's lengths.
    """
    attention = network.trunk.layers[alignment_layer(network.config.layers)]
    both = attention.attention.qkv.weight.unflatten(0, (3, network.config.heads, -1))[:2, head]
    query, key = functional.linear(attention.attention_norm(hidden), both.flatten(0, 1)).float().chunk(2, -1)
    turn = network.trunk.turns(packing.positions)
    scores = rotate(query, *turn) @ rotate(key, *turn).transpose(1, 2) * network.config.head_dim**-0.5
    mask = packing.mask()
    order = torch.arange(hidden.shape[1], device=hidden.device)
    visible = order[:, None] >= order if mask is None else mask[:, 0]
    shares = scores.masked_fill(~visible, -torch.inf).log_softmax(-1)
    places = torch.tensor([(p.row, p.speech, p.text) for p in packing.places], device=hidden.device)
    row, speech, text = places.T[..., None, None]  # (B, 1, 1) each
    speech = speech + network.config.start_tokens - 1  # the last start is what the first code follows
    at = (speech + torch.arange(codes, device=hidden.device)[:, None]).clamp(max=len(order) - 1)
    seen = (text + torch.arange(symbols, device=hidden.device)).clamp(max=len(order) - 1)
    return shares[row, at, seen]


@torch.no_grad()
def attention_map(
    network: T3,
    text: Tensor,
    speech: Tensor,
    speaker: Tensor,
    prompt: Sequence[int] = (),
    *,
    layer: int = -1,
    heads: Sequence[int] = (),
) -> Tensor:
    """Attention from each speech position to each text position.

    Args:
        network: the network.
        text: (N,) from start to stop.
        speech: (S,) from start to end.
        speaker: (speaker_size,).
        prompt: speech codes.
        layer: block to look into; -1 takes the one at 0.4 of the depth, where published alignments were found.
        heads: to average; empty takes all.

    Returns:
        (S, N) shares of attention; a row sums to what the text gets of it.
    """
    config, device = network.config, text.device
    layer = alignment_layer(config.layers) if layer < 0 else layer
    conditioning = network.embed_conditioning(
        speaker[None],
        torch.tensor([config.emotion], device=device),
        torch.tensor([list(prompt)], dtype=torch.long, device=device),
    )
    plan = plan_packing(
        [Lengths(bool(prompt), len(text), len(speech))],
        Widths(conditioning.shape[1], len(text), len(speech)),
        device=device,
    )
    embedded = network.embed_speech(speech[None], start_tokens=config.start_tokens)
    hidden = plan.gather(conditioning, network.embed_text(text[None]), embedded)
    turn_cosine, turn_sine = (part[:, None] for part in network.trunk.turns(plan.positions))
    blocks = network.trunk.layers
    for block in blocks[:layer]:
        hidden = block(hidden, (turn_cosine, turn_sine), None)
    found = blocks[layer]
    fused = found.attention.qkv(found.attention_norm(hidden)).unflatten(
        -1, (3, config.heads, config.head_dim)
    )
    query, key = rotate(fused[..., :2, :, :].permute(2, 0, 3, 1, 4), turn_cosine, turn_sine)
    place = plan.places[0]
    scores = query[0, :, place.speech :] @ key[0].transpose(-1, -2) * config.head_dim**-0.5
    order = torch.arange(hidden.shape[1], device=device)
    scores = scores.masked_fill(order > order[place.speech :, None], -torch.inf)
    shares = scores.float().softmax(-1)[:, :, place.text : place.speech]
    return (shares[list(heads)] if heads else shares).mean(0)
