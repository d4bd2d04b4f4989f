"""Published T3 weights: their tensor names and ours in one table, their files, and a run that starts from them.

Query, key, value and gate, up are fused here, apart there. The published dummy `tfmr.embed_tokens.weight` (the
transformer is always fed vectors) is dropped on the way in and written as zeros on the way out. The published
weights of Chatterbox are under the MIT license (Resemble AI); they speak the codes of S3. With another codec of at
most as many codes (`model.speech_codes`) their rows stay and get another meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_chatterbox import tokenizer
from amtts_chatterbox.published import read_published_tensors
from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_chatterbox.t3.network import T3
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import TextTensor
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.config_files import config_files, read_config
from amtts_core.finetune.vocab.text_rows import extend_remedy, fit_text_rows
from amtts_core.finetune.vocab.weights_file import find_weights
from amtts_core.storage.peft_adapter import with_adapter

LICENSE = "MIT (Chatterbox weights, Resemble AI)"
FILES = {
    "t3_mtl23ls_v3": "official",
    "t3_mtl23ls_v2": "official",
    "t3_23lang": "official",
    "t3_cfg": "official_english",
}
"""Stem of a published file -> the preset it belongs to."""
LANDMARK = "text_emb.weight"
"""A tensor of every T3, whatever a trainer wrote before its name."""
DUMMY, DUMMY_ROWS = "tfmr.embed_tokens.weight", 8
_PARTS = (
    ("tfmr.norm.", "transformer.norm."),
    ("cond_enc.spkr_enc.", "conditioning.speaker."),
    ("cond_enc.emotion_adv_fc.", "conditioning.emotion."),
    ("cond_enc.perceiver.pre_attention_query", "conditioning.perceiver.queries"),
    ("cond_enc.perceiver.attn.norm.", "conditioning.perceiver.attention.norm."),
    ("cond_enc.perceiver.attn.to_q.", "conditioning.perceiver.attention.query."),
    ("cond_enc.perceiver.attn.to_k.", "conditioning.perceiver.attention.key."),
    ("cond_enc.perceiver.attn.to_v.", "conditioning.perceiver.attention.value."),
    ("cond_enc.perceiver.attn.proj_out.", "conditioning.perceiver.attention.out."),
    ("text_emb.", "text.embedding."),
    ("text_pos_emb.emb.", "text.positions."),
    ("text_head.", "text.head."),
    ("speech_emb.", "speech.embedding."),
    ("speech_pos_emb.emb.", "speech.positions."),
    ("speech_head.", "speech.head."),
)
"""Beginnings of published names and of ours."""
_BLOCK = {
    "attention_norm.weight": ("input_layernorm.weight",),
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.out.weight": ("self_attn.o_proj.weight",),
    "feed_norm.weight": ("post_attention_layernorm.weight",),
    "feed.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "feed.down.weight": ("mlp.down_proj.weight",),
}
_OURS = re.compile(r"transformer\.blocks\.(\d+)\.(.+)")
"""A tensor of a block."""
_OWN = ("voices.", "length_model.", "codec_hash")
"""Beginnings of the names of what only a checkpoint of ours has."""


def published_names(name: str) -> tuple[str, ...]:
    """The published names whose tensors one of ours joins along the first axis; empty for what only we have."""
    if found := _OURS.fullmatch(name):
        return tuple(f"tfmr.layers.{found[1]}.{part}" for part in _BLOCK[found[2]])
    return tuple(theirs + name.removeprefix(ours) for theirs, ours in _PARTS if name.startswith(ours))


def published_layers(layer: str) -> list[str]:
    """The published layers whose outputs one of ours joins."""
    return [name.removesuffix(".weight") for name in published_names(f"{layer}.weight")]


def from_published(
    network: T3, published: Mapping[str, Tensor], *, source: str = "the weights"
) -> dict[str, Tensor]:
    """A network's state dict from published tensors; sizes are checked when it is loaded.

    Args:
        network: whose names are wanted, without what only a checkpoint of ours has.
        published: tensors under their published names.
        source: named in errors.

    Raises:
        CheckpointError: a tensor is missing or unknown, or the weights are of the GPT-2 family (Turbo, Nano).
    """
    refuse_gpt2(published, source=source)
    deep = len({name.split(".")[2] for name in published if name.startswith("tfmr.layers.")})
    if deep != network.config.layers:
        raise CheckpointError(
            f"{source}: {deep} transformer layers, the configuration says {network.config.layers}"
        )
    table = {ours: theirs for ours in network.state_dict() if (theirs := published_names(ours))}
    wanted = {name for names in table.values() for name in names}
    for fault, names in (
        ("is missing", wanted - set(published)),
        ("is unknown", set(published) - wanted - {DUMMY}),
    ):
        if names:
            raise CheckpointError(f"{source}: the tensor '{min(names)}' {fault} ({len(names)} in all)")
    return {ours: _joined([published[name] for name in theirs]) for ours, theirs in table.items()}


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def to_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict from ours (or gradients under our names); inverse of `from_published`."""
    out: dict[str, Tensor] = {}
    for ours, tensor in weights.items():
        if theirs := published_names(ours):
            parts = tensor.chunk(len(theirs))
            out |= {name: part.contiguous() for name, part in zip(theirs, parts, strict=True)}
    out[DUMMY] = torch.zeros(DUMMY_ROWS, out["tfmr.norm.weight"].shape[0]).to(out["tfmr.norm.weight"])
    return out


def refuse_gpt2(published: Mapping[str, Tensor], *, source: str = "the weights") -> None:
    """An error for the variants with another transformer, known by their names."""
    if any(name.startswith(("tfmr.h.", "tfmr.wpe", "tfmr.wte", "tfmr.ln_f")) for name in published):
        raise CheckpointError(
            f"{source}: this is a T3 with a GPT-2 transformer (Chatterbox Turbo or Nano)",
            remedy="Take --backend chatterbox-turbo for it, or one of t3_mtl23ls_v3, t3_mtl23ls_v2, t3_23lang and "
            "t3_cfg.safetensors",
        )


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published T3 file under their published names, on the CPU.

    Raises:
        CheckpointError: missing, damaged, not a dict of tensors, or of the GPT-2 family.
    """
    remedy = "Give a T3 file, .safetensors or .pt"
    weights = read_published_tensors(path, what="weights", remedy=remedy, landmark=LANDMARK)
    refuse_gpt2(weights, source=str(path))
    return weights


def load_published(path: Path, *, config: T3Config | None = None) -> T3:
    """A network with the weights of a published file, in evaluation mode.

    Args:
        path: a T3 file; the usual file names say which preset they are.
        config: sizes and identity of a file with another name.

    Raises:
        CheckpointError: unreadable, or a tensor does not fit; names it and both sizes.
    """
    weights = read_published(path)
    if config is None:
        config = T3Config.model_validate(PRESETS[published_preset(path)])
    return network_of(weights, config, source=str(path))


def published_preset(path: Path) -> str:
    """The preset of a published file, by its name and never by a size.

    Raises:
        CheckpointError: the name is not one of the published ones.
    """
    if path.stem not in FILES:
        raise CheckpointError(
            f"weights {path}: the name does not say which model this is; known names: {', '.join(FILES)}",
            remedy="Give its configuration (preset 'official' is multilingual, 'official_english' is not)",
        )
    return FILES[path.stem]


def network_of(published: Mapping[str, Tensor], config: T3Config, *, source: str = "the weights") -> T3:
    """A network with published tensors; the number of text tokens is that of their text embedding."""
    refuse_gpt2(published, source=source)
    rows = published.get("text_emb.weight", torch.zeros(1)).shape[0]
    with torch.device("meta"):  # random numbers for 536 million weights would take longer than reading them
        network = T3(config, num_text_tokens=rows)
    weights = from_published(network, published, source=source)
    network.to_empty(device="cpu")
    load_strict(network, weights, backend="chatterbox")
    return network.eval()


def open_weights(path: Path) -> PublishedWeights:
    """The weights in a folder or file: every tensor is transferred, only the voices are new."""
    file = find_weights(path, PUBLISHED)
    published = with_adapter(path, read_published(file))
    config = _config_of(file, published)

    def load_into(target: Any) -> tuple[str, ...]:
        own = {name: tensor for name, tensor in target.network.state_dict().items() if name.startswith(_OWN)}
        fitted = fit_text_rows(
            published,
            PUBLISHED,
            target.tokenizer.vocab_size,
            source=f"weights {file}",
            remedy=extend_remedy(PUBLISHED, path),
        )
        weights = from_published(target.network, fitted, source=str(file))
        load_strict(target.network, {**weights, **own}, backend="chatterbox")
        return ()

    return PublishedWeights(model=config.model_dump(mode="json"), load_into=load_into)


def _config_of(file: Path, published: Mapping[str, Tensor]) -> T3Config:
    """By the config beside it where that has all sizes, else by the file's name, else by the tensors."""
    settings = read_config(config_files(file))
    preset = PRESETS[FILES[file.stem]] if file.stem in FILES else {}
    try:
        if {"hidden_size", "num_hidden_layers"} <= set(settings.get("llama") or {}) and "t3" in settings:
            own = {"multilingual": preset.get("multilingual", False), **(settings.get("amtts") or {})}
            return T3Config.model_validate(published_config(settings).model_dump() | own)
        found = config_of_shapes(published, settings.get("llama") or {})
        if not preset:
            return found
        named = T3Config.model_validate(preset)
        if (named.hidden, named.layers) == (found.hidden, found.layers):
            return named
        # a file of the official name and other sizes, such as one of a test
        return found.model_copy(update={"multilingual": named.multilingual})
    except (KeyError, TypeError, ValueError) as fault:
        raise CheckpointError(f"weights {file} are no T3 of Chatterbox: {fault}") from None


def published_config(settings: Mapping[str, Any]) -> T3Config:
    """Our sizes from the published `llama`, `t3` and `perceiver` settings.

    Raises:
        KeyError, TypeError, ValueError: a setting is missing, of another kind, or of a variant that T3 is not.
    """
    llama, t3, perceiver = settings["llama"], settings["t3"], settings.get("perceiver", {})
    if llama.get("num_key_value_heads", llama["num_attention_heads"]) != llama["num_attention_heads"]:
        raise ValueError("grouped keys and values (num_key_value_heads) are not part of T3")
    for name in ("use_perceiver_resampler", "emotion_adv"):
        if not t3.get(name, True):
            raise ValueError(f"{name} is off, which no published Llama T3 has")
    scaling = llama.get("rope_scaling") or {"factor": 1.0}
    rope = {
        "theta": llama.get("rope_theta", scaling.get("rope_theta")),
        "factor": scaling["factor"],
        "low_freq_factor": scaling.get("low_freq_factor", 1.0),
        "high_freq_factor": scaling.get("high_freq_factor", 4.0),
        "original_positions": scaling.get("original_max_position_embeddings", 8192),
    }
    return T3Config.model_validate(
        {
            "multilingual": False,
            "hidden": llama["hidden_size"],
            "intermediate": llama["intermediate_size"],
            "layers": llama["num_hidden_layers"],
            "heads": llama["num_attention_heads"],
            "head_dim": llama.get("head_dim") or llama["hidden_size"] // llama["num_attention_heads"],
            "norm_eps": llama["rms_norm_eps"],
            "rope": rope,
            "text_positions": t3["max_text_tokens"] + 2,
            "speech_positions": t3["max_speech_tokens"] + 4,
            "speech_codes": min(t3["start_speech_token"], t3["stop_speech_token"]),
            "speech_rows": t3["speech_tokens_dict_size"],
            "start_speech": t3["start_speech_token"],
            "stop_speech": t3["stop_speech_token"],
            "speaker_size": t3.get("speaker_embed_size", 256),
            "perceiver_queries": perceiver.get("num_queries", 32),
            "perceiver_heads": perceiver.get("num_heads", 4),
            "prompt_tokens": t3["speech_cond_prompt_len"],
        }
    )


def config_of_shapes(weights: Mapping[str, Tensor], llama: Mapping[str, Any]) -> T3Config:
    """Settings of a network with these tensors under their published names.

    Args:
        weights: published names.
        llama: settings of the transformer, where a file has them. Tensors do not show the number of heads; without a
            file the released one is taken where it divides, and a comparison of two networks holds for any.
    """
    inner = weights["tfmr.layers.0.self_attn.q_proj.weight"].shape[0]
    head_dim = int(llama.get("head_dim") or next(size for size in (64, 32, 16, 8, 4, 2) if inner % size == 0))
    speech_rows, hidden = weights["speech_emb.weight"].shape
    speech_positions = weights["speech_pos_emb.emb.weight"].shape[0]
    codes = min(6561, speech_rows - 2)
    return T3Config(
        hidden=hidden,
        intermediate=weights["tfmr.layers.0.mlp.gate_proj.weight"].shape[0],
        layers=len({name.split(".")[2] for name in weights if name.startswith("tfmr.layers.")}),
        heads=inner // head_dim,
        head_dim=head_dim,
        text_positions=weights["text_pos_emb.emb.weight"].shape[0],
        speech_positions=speech_positions,
        speech_codes=codes,
        speech_rows=speech_rows,
        start_speech=codes,
        stop_speech=codes + 1,
        speaker_size=weights["cond_enc.spkr_enc.weight"].shape[1],
        perceiver_queries=weights["cond_enc.perceiver.pre_attention_query"].shape[1],
        prompt_tokens=min(150, speech_positions),
    )


@torch.inference_mode()
def probe(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """T3 on text alone, for `amtts extend-vocab`: see `amtts_core.contract.published.TextProbe`."""
    try:
        settings = config_of_shapes(weights, config.get("llama") or {})
    except KeyError as missing:
        raise CheckpointError(f"weights for backend 'chatterbox' lack the tensor {missing}") from None
    network = network_of({name: tensor.float() for name, tensor in weights.items()}, settings)
    voice = torch.zeros(1, settings.speaker_size)
    found = [network.score_text(ids[: settings.text_positions], voice) for ids in sequences]
    return {
        "text_logits": torch.cat([text for text, _ in found]),
        "speech_logits": torch.cat([speech for _, speech in found]),
    }


PUBLISHED = PublishedFormat(
    name="chatterbox",
    aliases=("chatterbox-t3", "t3"),
    license=LICENSE,
    weight_files=("t3*.safetensors", "t3*.pt", "*.safetensors", "*.pt", "*.pth"),
    text_tensors=(TextTensor("text_emb.weight", "embedding"), TextTensor("text_head.weight", "head")),
    text_names=r"^(?!.*pos).*text_",
    size_keys=("text_tokens_dict_size", "t3.text_tokens_dict_size", "model.text_tokens_dict_size"),
    modes=("extend", "reuse"),
    tokenizer=tokenizer.FORMAT,
    open_weights=open_weights,
    adapted_layers=published_layers,
    probe=probe,
)
