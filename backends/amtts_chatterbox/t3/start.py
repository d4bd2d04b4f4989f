"""Published T3 weights, for `amtts extend-vocab` and `train --from`: every tensor is used, only the speakers are new.

Their codes are those of S3. With another codec of at most as many codes (`model.speech_codes`) the embeddings of
the codes stay and get another meaning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amtts_chatterbox import tokenizer
from amtts_chatterbox.t3.bundle import bundle_config
from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_chatterbox.t3.names import from_published
from amtts_chatterbox.t3.text_probe import config_of_shapes, probe
from amtts_chatterbox.t3.weights import LICENSE, PUBLISHED_FILES, read_published
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import TextTensor
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.config_files import config_files, read_config
from amtts_core.finetune.vocab.weights_file import find_weights

_SPEAKERS = "voices."


def open_weights(path: Path) -> PublishedWeights:
    """The weights in a folder or file; speakers are newly initialized."""
    file = find_weights(path, PUBLISHED)
    published = read_published(file)
    config = _sizes(file, published)

    def load_into(target: Any) -> tuple[str, ...]:
        weights = from_published(published, layers=target.config.layers, source=str(file))
        own = target.network.state_dict()
        speakers = {name: tensor for name, tensor in own.items() if name.startswith(_SPEAKERS)}
        load_strict(target.network, {**weights, **speakers}, backend="chatterbox")
        return ()

    return PublishedWeights(model=config.model_dump(mode="json"), load_into=load_into)


def _sizes(file: Path, published: dict[str, Any]) -> T3Config:
    """By the config beside it where that has all sizes, else by the file's name, else by the tensors."""
    settings = read_config(config_files(file))
    preset = PRESETS[PUBLISHED_FILES[file.stem]] if file.stem in PUBLISHED_FILES else {}
    try:
        if {"hidden_size", "num_hidden_layers"} <= set(settings.get("llama") or {}) and "t3" in settings:
            rest = {"multilingual": preset.get("multilingual", False), **(settings.get("amtts") or {})}
            own = bundle_config(settings).model_dump() | rest
            return T3Config.model_validate(own)
        if preset:
            return T3Config.model_validate(preset)
        return config_of_shapes(published, settings.get("llama") or {})
    except (KeyError, TypeError, ValueError) as fault:
        raise CheckpointError(f"weights {file} are no T3 of Chatterbox: {fault}") from None


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
    probe=probe,
)
