"""Where speech looks in its text: the attention of one layer, computed on request and for that layer alone.

Nothing is hooked and nothing stays switched: the trunk runs up to the layer, whose weights are then used once more.
N text tokens, S speech tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.packing import Lengths, Widths, plan_packing
from amtts_chatterbox.t3.rope import rotate


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
    layer = round(0.4 * (config.layers - 1)) if layer < 0 else layer
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
