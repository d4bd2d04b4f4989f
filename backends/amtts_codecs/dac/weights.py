"""Descript's published checkpoints: their names to those of `transformers.DacModel`, weight norm folded.

A released `.pth` file holds {"state_dict": ..., "metadata": {"kwargs": constructor arguments}}; what the original
package saves in training is a `torch.package` archive of the same (`packaged.py`). Every convolution is stored as a
direction `weight_v` and a length `weight_g` per output row. The released models (16, 24 and 44.1 kHz) are under the
MIT licence. Loading never executes code from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import DacConfig, DacModel

from amtts_codecs.dac.packaged import is_packaged, read_packaged
from amtts_core.checkpoint import load_strict
from amtts_core.errors import CheckpointError
from amtts_core.safe_load import load_torch_file, reading_safely

UNIT = ("snake1", "conv1", "snake2", "conv2")
"""A residual unit's published positions 0-3."""


def module_names(stages: int) -> dict[str, str]:
    """Published module -> ours, for a network of `stages` blocks a side; the quantiser's names are the same.

    Published networks are numbered sequences: a first convolution, the blocks, a last Snake, a last convolution.
    An encoder block is three residual units, Snake, convolution; a decoder block Snake, transposed convolution,
    three residual units.
    """
    out: dict[str, str] = {}
    sides = (
        ("encoder", "block", (0, 1, 2), (3, 4), "conv1"),
        ("decoder", "model", (2, 3, 4), (0, 1), "conv_t1"),
    )
    for side, sequence, units, (snake, convolution), resampling in sides:
        top = f"{side}.{sequence}"
        out |= {f"{top}.0": f"{side}.conv1", f"{top}.{stages + 1}": f"{side}.snake1"}
        out[f"{top}.{stages + 2}"] = f"{side}.conv2"
        for number in range(stages):
            published, ours = f"{top}.{number + 1}.block", f"{side}.block.{number}"
            out[f"{published}.{snake}"] = f"{ours}.snake1"
            out[f"{published}.{convolution}"] = f"{ours}.{resampling}"
            for unit, position in enumerate(units, 1):
                for part, name in enumerate(UNIT):
                    out[f"{published}.{position}.block.{part}"] = f"{ours}.res_unit{unit}.{name}"
    return out


def renamed(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """`weights` with every tensor's module renamed by `names`; modules that it does not list keep theirs."""
    out = {}
    for name, tensor in weights.items():
        module, _, leaf = name.rpartition(".")
        out[f"{names.get(module, module)}.{leaf}"] = tensor
    return out


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replaces each pair `x.weight_g`, `x.weight_v` by `x.weight` = g * v / |v|, the norm over all but axis 0."""
    out: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith(".weight_v"):
            stem = name.removesuffix("_v")
            length = weights.get(f"{stem}_g")
            if length is None:
                raise CheckpointError(f"DAC weights hold '{name}' without '{stem}_g'")
            out[stem] = torch._weight_norm(tensor, length, 0)
        elif not name.endswith(".weight_g"):
            out[name] = tensor
        elif f"{name.removesuffix('_g')}_v" not in weights:
            raise CheckpointError(f"DAC weights hold '{name}' without its direction")
    return out


def load_dac(path: Path) -> DacModel:
    """The network of a published `.pth` file or of a Hugging Face folder, strictly, in evaluation mode.

    Raises:
        CheckpointError: unreadable, of an unknown layout, or a tensor is missing, unexpected or of another size.
    """
    return _from_folder(path) if path.is_dir() else _from_published(path)


def read_published(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Constructor arguments and weights of a published file, read without executing anything from it.

    Raises:
        CheckpointError: unreadable, or of another layout.
    """
    what = "DAC weights"
    with reading_safely(path, what=what):
        stored: Any = read_packaged(path) if is_packaged(path) else load_torch_file(path, what=what)
    try:
        return dict(stored["metadata"]["kwargs"]), dict(stored["state_dict"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"DAC weights {path}: expected a dictionary with 'state_dict' and 'metadata.kwargs', "
            "as descript-audio-codec saves it"
        ) from None


def _from_published(path: Path) -> DacModel:
    arguments, weights = read_published(path)
    network = _network(_config(arguments, path))
    names = module_names(len(network.config.downsampling_ratios))
    load_strict(network, renamed(fold_weight_norm(weights), names), backend="dac")
    return network


def _config(arguments: Mapping[str, Any], path: Path) -> DacConfig:
    """`DacConfig` of a published model's constructor arguments."""
    try:
        config = DacConfig(
            encoder_hidden_size=arguments["encoder_dim"],
            downsampling_ratios=list(arguments["encoder_rates"]),
            decoder_hidden_size=arguments["decoder_dim"],
            n_codebooks=arguments["n_codebooks"],
            codebook_size=arguments["codebook_size"],
            codebook_dim=arguments["codebook_dim"],
            quantizer_dropout=float(arguments.get("quantizer_dropout", 0.0)),
            sampling_rate=arguments["sample_rate"],
        )
    except KeyError as error:
        raise CheckpointError(f"DAC weights {path}: metadata.kwargs lacks {error}") from None
    if list(config.upsampling_ratios) != list(arguments["decoder_rates"]):
        raise CheckpointError(
            f"DAC weights {path}: decoder rates {arguments['decoder_rates']} do not mirror the encoder's "
            f"{arguments['encoder_rates']}; this network cannot express that"
        )
    latent = arguments.get("latent_dim") or config.hidden_size
    if latent != config.hidden_size:
        raise CheckpointError(
            f"DAC weights {path}: latent size {latent}, this network can only have {config.hidden_size} "
            "(encoder_dim x 2^blocks); the 44.1 kHz 16 kbps model is of that kind"
        )
    return config


def _network(config: DacConfig) -> DacModel:
    try:
        return DacModel(config).eval()
    except ValueError as error:
        raise CheckpointError(f"DAC configuration cannot be built: {error}") from None


def _from_folder(path: Path) -> DacModel:
    """A folder with `config.json` and `model.safetensors` of `transformers`."""
    from safetensors.torch import load_file

    weights = path / "model.safetensors"
    for file in (path / "config.json", weights):
        if not file.is_file():
            raise CheckpointError(
                f"{path} is no DAC folder: {file.name} is missing",
                remedy="Give a .pth file of descript-audio-codec, or a folder saved by transformers.DacModel",
            )
    try:
        config = DacConfig.from_json_file(path / "config.json")
        tensors = load_file(weights)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"DAC folder {path} cannot be read: {str(error).splitlines()[0]}") from None
    network = _network(config)
    load_strict(network, fold_weight_norm(tensors), backend="dac")
    return network
