"""T3 on text alone, for `amtts extend-vocab`: no voice, no prompt, a few speech tokens behind the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.weights import network_of
from amtts_core.errors import CheckpointError

_SPEECH = (0, 1, 2)  # any codes: the text in front of them is what may differ


def config_of_shapes(weights: Mapping[str, Tensor], trunk: Mapping[str, Any]) -> T3Config:
    """Settings of a network with these tensors under their published names.

    Args:
        weights: published names.
        trunk: the Llama settings, where a file tells them. Tensors do not tell the number of heads; without a file
            the released one is taken where it divides, and a comparison of two networks holds for any.
    """
    hidden = weights["text_emb.weight"].shape[1]
    inner = weights["tfmr.layers.0.self_attn.q_proj.weight"].shape[0]
    head_dim = int(trunk.get("head_dim") or next(size for size in (64, 32, 16, 8, 4, 2) if inner % size == 0))
    speech_rows = weights["speech_emb.weight"].shape[0]
    codes = min(6561, speech_rows - 2)
    return T3Config(
        hidden=hidden,
        intermediate=weights["tfmr.layers.0.mlp.gate_proj.weight"].shape[0],
        layers=len({name.split(".")[2] for name in weights if name.startswith("tfmr.layers.")}),
        heads=inner // head_dim,
        head_dim=head_dim,
        text_positions=weights["text_pos_emb.emb.weight"].shape[0],
        speech_positions=weights["speech_pos_emb.emb.weight"].shape[0],
        speech_codes=codes,
        speech_rows=speech_rows,
        start_speech=codes,
        stop_speech=codes + 1,
        speaker_size=weights["cond_enc.spkr_enc.weight"].shape[1],
        perceiver_queries=weights["cond_enc.perceiver.pre_attention_query"].shape[1],
        prompt_tokens=min(150, weights["speech_pos_emb.emb.weight"].shape[0]),
    )


def probe(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """See `amtts_core.contract.published.TextProbe`."""
    try:
        settings = config_of_shapes(weights, config.get("llama") or {})
    except KeyError as missing:
        raise CheckpointError(f"weights for backend 'chatterbox' lack the tensor {missing}") from None
    network = network_of({name: tensor.float() for name, tensor in weights.items()}, settings)
    text_logits, speech_logits = [], []
    with torch.inference_mode():
        for ids in sequences:
            text = torch.tensor([ids[: settings.text_positions]])
            speech = torch.tensor([_SPEECH])
            hidden, _ = network(
                text,
                torch.tensor([text.shape[1]]),
                speech,
                torch.tensor([len(_SPEECH)]),
                torch.zeros(1, settings.speaker_size),
                torch.tensor([settings.emotion]),
                torch.zeros(1, 1, dtype=torch.int64),
                torch.tensor([0]),
            )
            text_logits.append(network.text_head(hidden).flatten(0, -2))
            speech_logits.append(network.speech_head(hidden).flatten(0, -2))
    return {"text_logits": torch.cat(text_logits), "speech_logits": torch.cat(speech_logits)}
