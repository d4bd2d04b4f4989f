"""Published IndexTTS2 weights: their names and layouts and ours in one table, used in both directions, and their files.

IndexTTS2's `gpt.pth` is a flat dictionary (or has one under "model"). GPT-2's matrices are stored (in, out) there and
(out, in) here. Its two `pos_enc.pe` tables are sinusoids that we compute; files saved after an inference also hold
copies of the transformer, which are dropped. Weights trained by others are under the bilibili Model Use License.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.errors import CheckpointError
from amtts_core.storage.foreign_weights import load_tensors_only, model_tensors
from amtts_indextts2.config import SPARE_ROWS, ConformerConfig, IndexTTS2Config, SemanticHeadConfig
from amtts_indextts2.conformer import sinusoids
from amtts_indextts2.network import IndexTTS2Gpt

LICENSE = "bilibili Model Use License (IndexTTS2)"
WHAT = "IndexTTS2 weights"
LANDMARK = "text_embedding.weight"
"""A tensor of every GPT, whatever a trainer wrote before its name."""

TOP = (
    ("speaker.conformer.", "conditioning_encoder."),
    ("speaker.perceiver.", "perceiver_encoder."),
    ("emotion.conformer.", "emo_conditioning_encoder."),
    ("emotion.perceiver.", "emo_perceiver_encoder."),
    ("emotion.project.", "emovec_layer."),
    ("emotion.mix.", "emo_layer."),
    ("speed.", "speed_emb."),
    ("text.embedding.", "text_embedding."),
    ("text.positions.", "text_pos_embedding.emb."),
    ("text.head.", "text_head."),
    ("speech.embedding.", "mel_embedding."),
    ("speech.positions.", "mel_pos_embedding.emb."),
    ("speech.head.", "mel_head."),
    ("transformer.blocks.", "gpt.h."),
    ("transformer.norm.", "gpt.ln_f."),
    ("transformer.final_norm.", "final_norm."),
)
"""Ours -> published, by the beginning of a name."""

INSIDE = {
    "conformer": (
        ("subsample.", "embed.conv.0."),
        ("project.", "embed.out.0."),
        ("norm.", "after_norm."),
    ),
    "conformer block": (
        ("attention.query.", "self_attn.linear_q."),
        ("attention.key.", "self_attn.linear_k."),
        ("attention.value.", "self_attn.linear_v."),
        ("attention.out.", "self_attn.linear_out."),
        ("attention.position.", "self_attn.linear_pos."),
        ("attention.bias_content", "self_attn.pos_bias_u"),
        ("attention.bias_position", "self_attn.pos_bias_v"),
        ("convolution.widen.", "conv_module.pointwise_conv1."),
        ("convolution.depthwise.", "conv_module.depthwise_conv."),
        ("convolution.norm.", "conv_module.norm."),
        ("convolution.narrow.", "conv_module.pointwise_conv2."),
        ("feed_forward.up.", "feed_forward.w_1."),
        ("feed_forward.down.", "feed_forward.w_2."),
        ("norm_attention.", "norm_mha."),
        ("norm_convolution.", "norm_conv."),
        ("norm_feed_forward.", "norm_ff."),
        ("norm_final.", "norm_final."),
    ),
    "perceiver": (("latents", "latents"), ("context.", "proj_context."), ("gain", "norm.gamma")),
    "perceiver layer": (
        ("query.", "0.to_q."),
        ("key_value.", "0.to_kv."),
        ("out.", "0.to_out."),
        ("up.", "1.0."),
        ("down.", "1.2."),
    ),
    "transformer block": (
        ("norm_attention.", "ln_1."),
        ("attention.qkv.", "attn.c_attn."),
        ("attention.out.", "attn.c_proj."),
        ("norm_feed_forward.", "ln_2."),
        ("up.", "mlp.c_fc."),
        ("down.", "mlp.c_proj."),
    ),
}
"""Ours -> published, below a part of the network."""

DROPPED = (
    "inference_model.",
    "gpt.wte.",
    "conditioning_encoder.embed.pos_enc.",
    "emo_conditioning_encoder.embed.pos_enc.",
)
"""Published tensors that say nothing new."""
PE_ROWS = 5000
"""Rows of a published sinusoid table."""


def published_name(name: str) -> str:
    """The published name of one of our tensors; a name that has none (DAC codes, speaker table) stays."""
    for ours, theirs in TOP:
        if name.startswith(ours):
            rest = name.removeprefix(ours)
            if ours == "transformer.blocks.":
                number, _, leaf = rest.partition(".")
                return f"{theirs}{number}.{_inside('transformer block', leaf)}"
            if "conformer" in ours:
                return theirs + _numbered(rest, "blocks.", "encoders.", "conformer block", "conformer")
            if "perceiver" in ours:
                return theirs + _numbered(rest, "layers.", "layers.", "perceiver layer", "perceiver")
            return theirs + rest
    return name


def _numbered(name: str, ours: str, theirs: str, below: str, otherwise: str) -> str:
    found = re.fullmatch(re.escape(ours) + r"(\d+)\.(.+)", name)
    return f"{theirs}{found[1]}.{_inside(below, found[2])}" if found else _inside(otherwise, name)


def _inside(part: str, name: str) -> str:
    for ours, theirs in INSIDE[part]:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise KeyError(f"{part} has no tensor '{name}'")


def _transposed(name: str) -> bool:
    """True for the transformer's matrices, which GPT-2 stores transposed."""
    return name.startswith("transformer.blocks.") and name.endswith(".weight") and "norm" not in name


def from_published(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors under our names; unknown ones keep theirs, so that a strict load names them."""
    back = {published_name(name): name for name in network.state_dict()}
    out = {}
    for name, tensor in weights.items():
        if name.startswith(DROPPED):
            continue
        ours = back.get(name, name)
        out[ours] = tensor.T if _transposed(ours) and tensor.ndim == 2 else tensor
    return out


def to_published(network: IndexTTS2Gpt) -> dict[str, Tensor]:
    """Our tensors under published names, the sinusoid tables included."""
    out = {}
    for name, tensor in network.state_dict().items():
        out[published_name(name)] = tensor.T.contiguous() if _transposed(name) else tensor
    if network.config.conditioning == "conformers":
        for prefix, part in (("", network.config.speaker), ("emo_", network.config.emotion)):
            table = sinusoids(PE_ROWS, part.output_size)[None]
            out[f"{prefix}conditioning_encoder.embed.pos_enc.pe"] = table
    return out


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a `gpt.pth` or a `.safetensors` file; no code in it is run.

    Raises:
        CheckpointError: unreadable, or not a dictionary of tensors.
    """
    stored = load_tensors_only(path, what=WHAT)
    if (found := model_tensors(stored, path, landmark=LANDMARK, what=WHAT)) is not None:
        return found
    if isinstance(stored, dict) and isinstance(stored.get("model"), dict):
        stored = stored["model"]
    if not isinstance(stored, dict) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise CheckpointError(f"{WHAT} {path}: expected a dictionary of tensors")
    return stored


def load_published(network: IndexTTS2Gpt, weights: Mapping[str, Tensor]) -> None:
    """Loads published tensors strictly into a network with the semantic head.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of another shape; LoRA checkpoints must be merged first.
    """
    adapters = [name for name in weights if ".lora_" in name or ".base_layer." in name]
    if adapters:
        raise CheckpointError(f"weights hold a LoRA adapter ('{adapters[0]}')", remedy="Merge it first")
    load_strict(network, from_published(network, weights), backend="indextts2")


def config_of_shapes(weights: Mapping[str, Tensor], *, heads: int = 0) -> tuple[IndexTTS2Config, int]:
    """Settings of a network with these tensors under their published names, and its number of text tokens.

    Args:
        weights: published names.
        heads: attention heads of the transformer, which no tensor shows; 0 takes heads of 64 as released where that
        divides.

    Raises:
        KeyError: a tensor that shows a size is missing.
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
    return config, rows - 1


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


@torch.inference_mode()
def probe(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """The GPT on text alone, for `amtts extend-vocab`: see `amtts_core.contract.published.TextProbe`."""
    released = config.get("gpt") or config
    try:
        settings, num_text_tokens = config_of_shapes(weights, heads=int(released.get("heads") or 0))
    except KeyError as missing:
        raise CheckpointError(f"weights for backend 'indextts2' lack the tensor {missing}") from None
    network = IndexTTS2Gpt(settings, num_text_tokens).eval()
    load_published(network, {name: tensor.float() for name, tensor in weights.items()})
    prefix = network.prefix(torch.zeros(1, settings.num_latents, settings.model_dim))
    codes = torch.cat([network.speech.start(), torch.tensor([[0], [1]])])[None]
    found = [network.score_text([0, *ids[: settings.max_text_tokens], 1], prefix, codes) for ids in sequences]
    return {
        "text_logits": torch.cat([text[:, :num_text_tokens] for text, _ in found]),
        "speech_logits": torch.cat([speech for _, speech in found]),
    }
