"""Published IndexTTS2 weights as the beginning of a training run.

Trunk, text tables and speed rows are carried. With `model.conditioning=conformers` the encoders of w2v-bert features
are carried as well; else speakers come from a learnt table, and they are left behind. The code tables are carried where
the head is the published one; in the codes of another codec what means the same there is, see `carried`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import TextTensor
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.config_files import config_files, read_config
from amtts_core.finetune.vocab.weights_file import find_weights
from amtts_indextts2 import tokenizer
from amtts_indextts2.carried import CODES, POSITIONS, PUBLISHED_RATE, carried_codes
from amtts_indextts2.codec import codec_of
from amtts_indextts2.config import SemanticHeadConfig
from amtts_indextts2.text_probe import config_of_shapes, probe
from amtts_indextts2.w2v_bert import NO_STATISTICS
from amtts_indextts2.weights import LICENSE, from_published, read_published

if TYPE_CHECKING:
    from torch import Tensor


logger = logging.getLogger(__name__)
LEFT_BEHIND = ("conditioning_encoder.", "perceiver_encoder.", "emo", "speaker.", "emotion.")
"""Beginnings of the names of what only the published conditioning has."""
FRESH = ("speaker_table.", "voices.", "pace.", "codec_hash")
"""What only a network of ours has."""
STATISTICS = "wav2vec2bert_stats.pt"
"""Of w2v-bert's features, published beside the weights."""


def open_weights(path: Path) -> PublishedWeights:
    """The weights in a folder or file; speakers are newly initialized."""
    file = find_weights(path, PUBLISHED)
    published = read_published(file)
    settings = read_config(config_files(file))
    released = settings.get("gpt") or settings
    try:
        config, _ = config_of_shapes(published, heads=int(released.get("heads") or 0))
    except KeyError as missing:
        raise CheckpointError(f"weights {file} lack the tensor {missing}") from None
    head = _published_head(config.head, released, file)
    model = {
        "model_dim": config.model_dim,
        "layers": config.layers,
        "heads": config.heads,
        "max_text_tokens": config.max_text_tokens,
        "max_mel_tokens": config.max_mel_tokens,
        "num_latents": config.num_latents,
        "conditioning": "table",
        "speaker": config.speaker.model_dump(mode="json"),
        "emotion": config.emotion.model_dump(mode="json"),
    }
    if (file.parent / STATISTICS).is_file():
        model["voice_statistics"] = str(file.parent / STATISTICS)
    return PublishedWeights(model=model, load_into=lambda target: _fill(target, published, file, head, model))


def _published_head(by_shape: object, told: Mapping[str, Any], file: Path) -> SemanticHeadConfig:
    """The published head, with the ids that its configuration names, or those that the shapes suggest."""
    assert isinstance(by_shape, SemanticHeadConfig)
    start, stop = (told.get(f"{name}_mel_token", getattr(by_shape, name)) for name in ("start", "stop"))
    try:
        return SemanticHeadConfig(num_codes=by_shape.num_codes, start=start, stop=stop)
    except ValueError:
        raise CheckpointError(
            f"the configuration of {file} says start_mel_token {start} and stop_mel_token {stop}, expected two ids "
            f"below {by_shape.num_codes}",
            remedy="Put the config.yaml beside it that was published with it",
        ) from None


def _fill(
    backend: Any,
    published: Mapping[str, Tensor],
    file: Path,
    head: SemanticHeadConfig,
    sizes: Mapping[str, Any],
) -> tuple[str, ...]:
    for name in ("model_dim", "layers", "max_text_tokens"):
        if getattr(backend.config, name) != sizes[name]:
            raise CheckpointError(
                f"weights {file} have {name} {sizes[name]}, the settings say {getattr(backend.config, name)}",
                remedy=f"Leave model.{name} out",
            )
    own = backend.network.state_dict()
    hears = backend.config.conditioning == "conformers"
    if hears and backend.config.voice_statistics == NO_STATISTICS:
        raise CheckpointError(
            f"the encoders of {file} hear standardised features, and model.voice_statistics is '{NO_STATISTICS}'",
            remedy=f"Name the published file: --set model.voice_statistics={STATISTICS}",
        )
    found = {
        name: tensor
        for name, tensor in from_published(backend.network, published).items()
        if hears or not name.startswith(LEFT_BEHIND)
    }
    kept = {name: tensor for name, tensor in own.items() if name.startswith(FRESH)}
    codes = {name: tensor for name, tensor in found.items() if name.startswith(CODES)}
    by_lot = tuple(name for name, _ in backend.network.named_parameters() if name.startswith(FRESH))
    if len(codes) == 4 and codes[POSITIONS].shape[1] == own[POSITIONS].shape[1]:  # else load_strict tells
        named = backend.config.codec_weights  # none where only the text side is wanted
        rate = codec_of(backend.config).frame_rate if named else PUBLISHED_RATE
        carried = carried_codes(backend.network.speech, codes, head, frame_rate=rate)
        found |= carried.tensors
        by_lot += carried.by_lot
        backend.code_deviation = carried.deviation
        if named:
            logger.warning("%s, in the codes of codec '%s': %s", file, backend.config.codec, carried.told)
    load_strict(backend.network, {**found, **kept}, backend="indextts2")
    backend.carried_encoders = hears
    return by_lot


PUBLISHED = PublishedFormat(
    name="indextts2",
    license=LICENSE,
    weight_files=("gpt*.safetensors", "gpt*.pth", "*.safetensors", "*.pth", "*.pt"),
    text_tensors=(
        TextTensor("text_embedding.weight", "embedding", num_extra_rows=1),
        TextTensor("text_head.weight", "head", num_extra_rows=1),
        TextTensor("text_head.bias", "bias", num_extra_rows=1),
    ),
    text_names=r"^(?!.*pos).*text_",
    size_keys=("number_text_tokens", "gpt.number_text_tokens", "model.number_text_tokens"),
    tokenizer=tokenizer.FORMAT,
    open_weights=open_weights,
    probe=probe,
)
