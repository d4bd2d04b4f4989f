"""Published T3 weights of Chatterbox Turbo and Nano: names both ways, files, and a run that starts from them.

GPT-2's matrices are stored inputs first there. `tfmr.wte.weight` is never read (the transformer is fed vectors): it is
dropped on the way in and written as zeros on the way out. The weights are under the MIT license (Resemble AI).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_chatterbox.published import read_published_tensors
from amtts_chatterbox.turbo import tokenizer
from amtts_chatterbox.turbo.config import PRESETS, TurboConfig
from amtts_chatterbox.turbo.network import TurboT3
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import TextTensor
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.weights_file import find_weights

LICENSE = "MIT (Chatterbox Turbo weights, Resemble AI)"
FILES = {"t3_turbo_v1": "turbo", "t3_nano_v1": "nano"}
"""Stem of a published file -> the preset it belongs to."""
UNUSED = "tfmr.wte.weight"
_PARTS = (
    ("cond_enc.spkr_enc.", "speaker."),
    ("text_emb.", "text.embedding."),
    ("text_head.", "text.head."),
    ("speech_emb.", "speech.embedding."),
    ("speech_head.", "speech.head."),
    ("tfmr.wpe.", "speech.positions."),
    ("tfmr.ln_f.", "transformer.norm."),
)
_BLOCK = (
    ("ln_1.", "attention_norm."),
    ("attn.c_attn.", "qkv."),
    ("attn.c_proj.", "out."),
    ("ln_2.", "feed_norm."),
    ("mlp.c_fc.", "up."),
    ("mlp.c_proj.", "down."),
)
_THEIRS, _OURS = re.compile(r"tfmr\.h\.(\d+)\.(.+)"), re.compile(r"transformer\.blocks\.(\d+)\.(.+)")
_MASKS = (".attn.bias", ".attn.masked_bias")
"""Ends of the names of buffers that old versions of transformers store."""
_OWN = ("voices.", "length_model.", "codec_hash")


def _renamed(name: str, *, to_ours: bool) -> str:
    """The other name of a tensor, or an empty string."""
    block = (_THEIRS if to_ours else _OURS).fullmatch(name)
    for pair in _BLOCK if block else _PARTS:
        old, new = pair if to_ours else pair[::-1]
        rest = block[2] if block else name
        if rest.startswith(old):
            put = new + rest.removeprefix(old)
            stem = "transformer.blocks" if to_ours else "tfmr.h"
            return f"{stem}.{block[1]}.{put}" if block else put
    return ""


def _is_turned(ours: str) -> bool:
    """Whether the published matrix has its inputs first."""
    return ours.startswith("transformer.blocks.") and ours.endswith(".weight") and "norm" not in ours


def from_published(published: Mapping[str, Tensor], *, source: str = "the weights") -> dict[str, Tensor]:
    """Our state dict from published tensors; what is missing is seen when it is loaded.

    Raises:
        CheckpointError: a tensor is unknown, such as one of the Llama family.
    """
    out: dict[str, Tensor] = {}
    for name, tensor in published.items():
        if name == UNUSED or name.endswith(_MASKS):
            continue
        ours = _renamed(name, to_ours=True)
        if not ours:
            raise CheckpointError(
                f"{source}: the tensor '{name}' is none of Chatterbox Turbo's or Nano's T3",
                remedy="Give t3_turbo_v1.safetensors or t3_nano_v1.safetensors; the other T3 is backend 'chatterbox'",
            )
        out[ours] = tensor.t().contiguous() if _is_turned(ours) and tensor.ndim == 2 else tensor
    return out


def to_published(weights: Mapping[str, Tensor], *, unused_rows: int) -> dict[str, Tensor]:
    """The published state dict from ours; inverse of `from_published`."""
    out: dict[str, Tensor] = {}
    for ours, tensor in weights.items():
        if theirs := _renamed(ours, to_ours=False):
            out[theirs] = tensor.t().contiguous() if _is_turned(ours) else tensor.contiguous()
    out[UNUSED] = torch.zeros(unused_rows, out["tfmr.wpe.weight"].shape[1]).to(out["tfmr.wpe.weight"])
    return out


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published file under their published names, on the CPU.

    Raises:
        CheckpointError: missing, damaged, or not a dictionary of tensors.
    """
    return read_published_tensors(
        path, what="weights", remedy="Give t3_turbo_v1.safetensors or t3_nano_v1.safetensors"
    )


def network_of(
    published: Mapping[str, Tensor], config: TurboConfig, *, source: str = "the weights"
) -> TurboT3:
    """A network with published tensors, in evaluation mode; the number of text tokens is that of their embedding."""
    weights = from_published(published, source=source)
    rows = len(published.get("text_emb.weight", torch.zeros(1)))
    with torch.device("meta"):
        network = TurboT3(config, num_text_tokens=rows)
    network.to_empty(device="cpu")
    load_strict(network, {name: t.float() for name, t in weights.items()}, backend="chatterbox-turbo")
    return network.eval()


def config_of(published: Mapping[str, Tensor], *, heads: int = 0, source: str = "the weights") -> TurboConfig:
    """Settings of a network with these tensors.

    Args:
        published: under their published names.
        heads: no tensor shows their number; 0 means 64 channels a head, as published, or fewer where that does not fit.
        source: named in errors.

    Raises:
        CheckpointError: they are not of this family.
    """
    try:
        positions, hidden = published["tfmr.wpe.weight"].shape
        speech_rows = len(published["speech_emb.weight"])
        codes = min(6561, speech_rows - 2)
        size = next(size for size in (64, 32, 16, 8, 4, 2, 1) if hidden % size == 0)
        return TurboConfig(
            hidden=hidden,
            layers=len({name.split(".")[2] for name in published if name.startswith("tfmr.h.")}),
            heads=heads or hidden // size,
            positions=positions,
            speech_codes=codes,
            speech_rows=speech_rows,
            start_speech=codes,
            stop_speech=codes + 1,
            speaker_size=published["cond_enc.spkr_enc.weight"].shape[1],
            prompt_tokens=min(375, positions // 2),
            unused_rows=len(published[UNUSED]) if UNUSED in published else 1,
        )
    except KeyError as missing:
        raise CheckpointError(
            f"{source}: the tensor {missing} is missing; this is no T3 of Turbo or Nano"
        ) from None
    except ValueError as fault:
        raise CheckpointError(f"{source} are no T3 of Turbo or Nano: {str(fault).splitlines()[0]}") from None


def open_weights(path: Path) -> PublishedWeights:
    """The weights in a folder or file: every tensor is transferred, only the voices are new."""
    file = find_weights(path, PUBLISHED)
    published = read_published(file)
    config = config_of(published, source=str(file))
    if file.stem in FILES:
        named = TurboConfig.model_validate(PRESETS[FILES[file.stem]])
        if (named.hidden, named.layers) == (config.hidden, config.layers):
            config = config.model_copy(update={"heads": named.heads})

    def load_into(target: Any) -> tuple[str, ...]:
        network = target.network
        own: dict[str, Any] = {n: t for n, t in network.state_dict().items() if n.startswith(_OWN)}
        weights = {name: t.float() for name, t in from_published(published, source=str(file)).items()}
        load_strict(network, {**weights, **own}, backend="chatterbox-turbo")
        return ()

    return PublishedWeights(model=config.model_dump(mode="json"), load_into=load_into)


PUBLISHED = PublishedFormat(
    name="chatterbox-turbo",
    license=LICENSE,
    weight_files=(*(f"{stem}.*" for stem in FILES), "t3*.safetensors", "*.safetensors"),
    text_tensors=(TextTensor("text_emb.weight", "embedding"), TextTensor("text_head.weight", "head")),
    tokenizer=tokenizer.FORMAT,
    open_weights=open_weights,
)
