"""The GPT on text alone, for `amtts extend-vocab`: an empty voice in front, a few codes behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from amtts_core.errors import CheckpointError
from amtts_indextts2.codes import SPARE_ROWS
from amtts_indextts2.config import ConformerConfig, IndexTTS2Config, SemanticHeadConfig
from amtts_indextts2.network import IndexTTS2Gpt, TextIds
from amtts_indextts2.weights import load_published


def config_of_shapes(weights: Mapping[str, Tensor], *, heads: int = 0) -> tuple[IndexTTS2Config, TextIds]:
    """Settings of a network with these tensors under their published names.

    Args:
        weights: published names.
        heads: attention heads of the trunk, which no tensor tells; 0 takes heads of 64 as released where that divides.

    Raises:
        KeyError: a tensor that tells a size is missing.
    """
    rows, dim = weights["text_embedding.weight"].shape
    codes = weights["mel_embedding.weight"].shape[0]
    config = IndexTTS2Config(
        model_dim=dim,
        layers=_count(weights, "gpt.h."),
        heads=heads or dim // next(size for size in (64, 32, 16, 8, 4, 2, 1) if dim % size == 0),
        max_text_tokens=weights["text_pos_embedding.emb.weight"].shape[0] - 2,
        max_mel_tokens=weights["mel_pos_embedding.emb.weight"].shape[0] - SPARE_ROWS,
        num_latents=weights["perceiver_encoder.latents"].shape[0],
        speaker=_conformer(weights, ""),
        emotion=_conformer(weights, "emo_"),
        head=SemanticHeadConfig(num_codes=codes, start=codes - 2, stop=codes - 1),
    )
    return config, TextIds(rows - 1)


def _conformer(weights: Mapping[str, Tensor], prefix: str) -> ConformerConfig:
    top, reader = f"{prefix}conditioning_encoder", f"{prefix}perceiver_encoder"
    inner = weights[f"{reader}.layers.0.1.2.weight"].shape[1]
    return ConformerConfig(
        output_size=weights[f"{top}.after_norm.weight"].shape[0],
        linear_units=weights[f"{top}.encoders.0.feed_forward.w_1.weight"].shape[0],
        attention_heads=weights[f"{top}.encoders.0.self_attn.pos_bias_u"].shape[0],
        num_blocks=_count(weights, f"{top}.encoders."),
        perceiver_mult=(inner + 0.5) * 1.5 / weights[f"{reader}.latents"].shape[1],
    )


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def probe(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """See `amtts_core.contract.published.TextProbe`."""
    told = config.get("gpt") or config
    try:
        settings, text = config_of_shapes(weights, heads=int(told.get("heads") or 0))
    except KeyError as missing:
        raise CheckpointError(f"weights for backend 'indextts2' lack the tensor {missing}") from None
    network = IndexTTS2Gpt(settings, text).eval()
    load_published(network, {name: tensor.float() for name, tensor in weights.items()})
    head = settings.head
    assert isinstance(head, SemanticHeadConfig)
    codes = torch.tensor([[head.start, 0, 1]])
    text_logits, logits = [], []
    with torch.inference_mode():
        prefix = network.prefix(torch.zeros(1, settings.num_latents, settings.model_dim))
        for ids in sequences:
            cut = torch.tensor([list(ids)[: settings.max_text_tokens]], dtype=torch.int64)
            length = torch.tensor([cut.shape[1]])
            found = network(prefix, cut, length, codes, torch.tensor([codes.shape[1]]))
            text_logits.append(found[0][0, :, : text.vocab_size])
            logits.append(found[1][0])
    return {"text_logits": torch.cat(text_logits), "speech_logits": torch.cat(logits)}
