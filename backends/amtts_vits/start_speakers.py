"""Published weights for another number of speakers: embeddings are chosen, or one speaker is folded into biases."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from amtts_vits.weights import from_published

logger = logging.getLogger(__name__)

TABLE = "embed_speaker.weight"
_LENGTH, _DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
_CONDITIONED = {"decoder": "conv_pre", "duration_predictor": "conv_pre"}
"""Parts whose `cond` is added to the output of this layer."""


def fit_speakers(found: Mapping[str, Tensor], speakers: int, folder: Path) -> dict[str, Tensor]:
    """Published tensors for a network of `speakers`; unchanged where the published one has one speaker.

    A network of one speaker starts as the published speaker 0: what the embedding adds is then a constant, which is
    added to biases, so that speech is the same. Of several, each gets the embedding of its id; ids behind the last
    published speaker get the mean of all.
    """
    found = from_published(found)
    table = found.get(TABLE)
    if table is None or len(table) == speakers:
        return found
    if speakers > 1:
        rows = [table[row] if row < len(table) else table.mean(0) for row in range(speakers)]
        logger.warning(
            "%s has %d speakers, the voice %d: rows are taken in order", folder, len(table), speakers
        )
        return {**found, TABLE: torch.stack(rows)}
    logger.warning("%s has %d speakers, the voice one: it starts as speaker 0 of them", folder, len(table))
    return folded(found, table[0].float())


def folded(found: Mapping[str, Tensor], speaker: Tensor) -> dict[str, Tensor]:
    """Without the speaker layers, their output for `speaker` (S,) in the biases of the layers that it was added to."""
    out = {name: tensor for name, tensor in found.items() if name != TABLE}
    for part, layer in _CONDITIONED.items():
        if f"{part}.cond.weight" not in out:
            continue
        added = _output(out, f"{part}.cond.", speaker)
        if (
            f"{part}.{layer}.bias" not in out
        ):  # the deterministic predictor adds it to the input of its first layer
            layer = "conv_1"
            added = out[f"{part}.{layer}.weight"].float().sum(2) @ added  # exact but at both ends of the text
        _add(out, f"{part}.{layer}.bias", added)
    for name in [name for name in out if name.endswith(".cond_layer.bias")]:
        wavenet = name.removesuffix("cond_layer.bias")
        added = _output(out, f"{wavenet}cond_layer.", speaker)
        layers = sum(n.startswith(f"{wavenet}in_layers.") and n.endswith(".bias") for n in out)
        for number, share in enumerate(added.chunk(layers)):
            _add(out, f"{wavenet}in_layers.{number}.bias", share)
    return out


def _output(tensors: dict[str, Tensor], layer: str, speaker: Tensor) -> Tensor:
    """What a layer of kernel 1 makes of the speaker; takes the layer out of `tensors`."""
    if f"{layer}weight" in tensors:
        weight = tensors.pop(f"{layer}weight").float()
    else:
        length, direction = (tensors.pop(f"{layer}{name}").float() for name in (_LENGTH, _DIRECTION))
        weight = length * direction / direction.flatten(1).norm(dim=1)[:, None, None]
    return weight[:, :, 0] @ speaker + tensors.pop(f"{layer}bias").float()


def _add(tensors: dict[str, Tensor], name: str, added: Tensor) -> None:
    tensors[name] = (tensors[name].float() + added).to(tensors[name].dtype)
