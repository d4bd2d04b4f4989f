"""Published tensor names to ours and back, in one table. Query, key, value and gate, up are fused here, apart there.

The published dummy `tfmr.embed_tokens.weight` (the trunk is always fed vectors) is dropped on the way in and
written as zeros on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from amtts_core.errors import CheckpointError

DUMMY = "tfmr.embed_tokens.weight"
DUMMY_ROWS = 8

_SINGLE = {
    "tfmr.norm.weight": "trunk.norm.weight",
    "cond_enc.spkr_enc.weight": "conditioning.speaker.weight",
    "cond_enc.spkr_enc.bias": "conditioning.speaker.bias",
    "cond_enc.emotion_adv_fc.weight": "conditioning.emotion.weight",
    "cond_enc.perceiver.pre_attention_query": "conditioning.perceiver.queries",
    "text_emb.weight": "text_embedding.weight",
    "speech_emb.weight": "speech_embedding.weight",
    "text_pos_emb.emb.weight": "text_positions.weight",
    "speech_pos_emb.emb.weight": "speech_positions.weight",
    "text_head.weight": "text_head.weight",
    "speech_head.weight": "speech_head.weight",
} | {
    f"cond_enc.perceiver.attn.{theirs}.{kind}": f"conditioning.perceiver.attention.{ours}.{kind}"
    for theirs, ours in {
        "norm": "norm", "to_q": "query", "to_k": "key", "to_v": "value", "proj_out": "out",
    }.items()
    for kind in ("weight", "bias")
}  # fmt: skip

_BLOCK = {
    "attention_norm.weight": ("input_layernorm.weight",),
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.out.weight": ("self_attn.o_proj.weight",),
    "feed_norm.weight": ("post_attention_layernorm.weight",),
    "feed.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "feed.down.weight": ("mlp.down_proj.weight",),
}


def name_table(layers: int) -> dict[str, tuple[str, ...]]:
    """Our name -> the published names whose tensors it joins along the first axis."""
    table: dict[str, tuple[str, ...]] = {ours: (theirs,) for theirs, ours in _SINGLE.items()}
    for layer in range(layers):
        for ours, theirs in _BLOCK.items():
            table[f"trunk.blocks.{layer}.{ours}"] = tuple(f"tfmr.layers.{layer}.{name}" for name in theirs)
    return table


def num_layers(published: Mapping[str, Tensor]) -> int:
    """Blocks that published names speak of."""
    found = (re.match(r"tfmr\.layers\.(\d+)\.", name) for name in published)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def from_published(
    published: Mapping[str, Tensor], *, layers: int, source: str = "the weights"
) -> dict[str, Tensor]:
    """Our state dict from the published one; sizes are checked when it is loaded.

    Args:
        published: tensors under their published names.
        layers: blocks of the network.
        source: named in errors.

    Raises:
        CheckpointError: a tensor is missing or unknown, or the weights are of the GPT-2 family (Turbo, Nano).
    """
    refuse_gpt2(published, source=source)
    deep = num_layers(published)
    if deep != layers:
        raise CheckpointError(f"{source}: {deep} transformer layers, the configuration says {layers}")
    table = name_table(layers)
    wanted = [name for names in table.values() for name in names]
    missing = [name for name in wanted if name not in published]
    if missing:
        raise CheckpointError(f"{source}: the tensor '{missing[0]}' is missing ({len(missing)} in all)")
    unknown = sorted(set(published) - set(wanted) - {DUMMY})
    if unknown:
        raise CheckpointError(f"{source}: unknown tensor '{unknown[0]}' ({len(unknown)} in all)")
    return {ours: _joined([published[name] for name in theirs]) for ours, theirs in table.items()}


def to_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict from ours (or gradients under our names); inverse of `from_published`."""
    layers = 1 + max(int(m[1]) for m in (re.match(r"trunk\.blocks\.(\d+)\.", name) for name in weights) if m)
    out: dict[str, Tensor] = {}
    for ours, theirs in name_table(layers).items():
        for name, part in zip(theirs, weights[ours].chunk(len(theirs)), strict=True):
            out[name] = part.contiguous()
    out[DUMMY] = torch.zeros(DUMMY_ROWS, out["tfmr.norm.weight"].shape[0]).to(out["tfmr.norm.weight"])
    return out


def refuse_gpt2(published: Mapping[str, Tensor], *, source: str = "the weights") -> None:
    """An error for the variants with another trunk, told by its names."""
    if any(name.startswith(("tfmr.h.", "tfmr.wpe", "tfmr.wte", "tfmr.ln_f")) for name in published):
        raise CheckpointError(
            f"{source}: this is a T3 with a GPT-2 trunk (Chatterbox Turbo or Nano), which is not supported",
            remedy="Use t3_mtl23ls_v3.safetensors, t3_mtl23ls_v2.safetensors, t3_23lang.safetensors or "
            "t3_cfg.safetensors",
        )


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
