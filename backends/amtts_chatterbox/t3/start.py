"""Published T3 weights as the beginning of a training run: every tensor is carried, only the voices are new.

Their codes are those of S3, which is not part of this project. With another codec of at most as many codes
(`model.speech_codes`) the rows of the codes stay and take on another meaning.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_chatterbox.t3.bundle import bundle_config
from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_chatterbox.t3.names import from_published
from amtts_chatterbox.t3.text_probe import config_of_shapes
from amtts_chatterbox.t3.weights import LICENSE, PUBLISHED_FILES, read_published
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedWeights
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.config_files import config_files, read_config
from amtts_core.finetune.vocab.families import get_family
from amtts_core.finetune.vocab.weights_file import find_weights

if TYPE_CHECKING:
    pass

_VOICES = "voices."


class T3Format:
    """Published T3 weights, such as `amtts extend-vocab` writes; see `PublishedFormat`."""

    def open_weights(self, path: Path) -> PublishedWeights:
        """The weights in a folder or file; the voices stay new."""
        file = find_weights(path, get_family("chatterbox"))
        published = read_published(file)
        config = _sizes(file, published)

        def load_into(target: Any) -> tuple[str, ...]:
            weights = from_published(published, layers=target.config.layers, source=str(file))
            own = target.network.state_dict()
            voices = {name: tensor for name, tensor in own.items() if name.startswith(_VOICES)}
            load_strict(target.network, {**weights, **voices}, backend="chatterbox")
            return ()

        return PublishedWeights(model=config.model_dump(mode="json"), load_into=load_into, license=LICENSE)


def _sizes(file: Path, published: dict[str, Any]) -> T3Config:
    """By the config beside it where that tells all, else by the file's name, else by the tensors."""
    settings = read_config(config_files(file))
    preset = PRESETS[PUBLISHED_FILES[file.stem]] if file.stem in PUBLISHED_FILES else {}
    try:
        if {"hidden_size", "num_hidden_layers"} <= set(settings.get("llama") or {}) and "t3" in settings:
            told = {"multilingual": preset.get("multilingual", False), **(settings.get("amtts") or {})}
            own = bundle_config(settings).model_dump() | told
            return T3Config.model_validate(own)
        if preset:
            return T3Config.model_validate(preset)
        return config_of_shapes(published, settings.get("llama") or {})
    except (KeyError, TypeError, ValueError) as fault:
        raise CheckpointError(f"weights {file} are no T3 of Chatterbox: {fault}") from None
