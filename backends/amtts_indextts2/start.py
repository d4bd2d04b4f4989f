"""Published IndexTTS2 weights as the beginning of a training run.

Trunk, text tables and speed rows are carried. Speakers come from a learnt table here and not from w2v-bert, so the
encoders are left behind; the code tables are carried where the head is the published one, else they start fresh,
because the codes are those of another codec.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from amtts_core.checkpoint import load_strict
from amtts_core.errors import CheckpointError
from amtts_core.training.start import PublishedStart
from amtts_core.vocab.config_files import config_files, read_config
from amtts_core.vocab.families import get_family
from amtts_core.vocab.weights_file import find_weights
from amtts_indextts2.text_probe import config_of_shapes
from amtts_indextts2.weights import LICENCE, from_published, read_published

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.backend import Backend

logger = logging.getLogger(__name__)
LEFT_BEHIND = ("conditioning_encoder.", "perceiver_encoder.", "emo", "speaker.", "emotion.")
"""Beginnings of the names of what only the published conditioning has."""
FRESH = ("speaker_table.", "pace.", "codec_hash")
"""What only a network with a speaker table has."""
CODES = "speech."


def published_start(path: Path) -> PublishedStart:
    """See `amtts_core.training.start.ReadsPublished`."""
    file = find_weights(path, get_family("indextts2"))
    published = read_published(file)
    settings = read_config(config_files(file))
    told = settings.get("gpt") or settings
    try:
        config, _ = config_of_shapes(published, heads=int(told.get("heads") or 0))
    except KeyError as missing:
        raise CheckpointError(f"weights {file} lack the tensor {missing}") from None
    model = {
        "model_dim": config.model_dim,
        "layers": config.layers,
        "heads": config.heads,
        "max_text_tokens": config.max_text_tokens,
        "max_mel_tokens": config.max_mel_tokens,
        "num_latents": config.num_latents,
        "conditioning": "table",
    }
    return PublishedStart(model=model, fill=lambda target: _fill(target, published, file), licence=LICENCE)


def _fill(target: Backend, published: Mapping[str, Tensor], file: Path) -> None:
    own = target.network.state_dict()
    found = {
        name: tensor
        for name, tensor in from_published(target.network, published).items()
        if not name.startswith(LEFT_BEHIND)
    }
    same_codes = all(
        name in found and found[name].shape == tensor.shape
        for name, tensor in own.items()
        if name.startswith(CODES)
    ) and all(name in own for name in found if name.startswith(CODES))
    fresh = FRESH if same_codes else (*FRESH, CODES)
    if not same_codes:
        found = {name: tensor for name, tensor in found.items() if not name.startswith((CODES, "mel_"))}
        logger.warning(
            "%s speaks in other codes than codec '%s'; the code tables start fresh", file, target.config.codec
        )
    kept = {name: tensor for name, tensor in own.items() if name.startswith(fresh)}
    load_strict(target.network, {**found, **kept}, backend="indextts2")
