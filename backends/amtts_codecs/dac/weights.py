"""Descript's published checkpoints: their names to those of `transformers.DacModel`, weight norm folded.

A released `.pth` file holds {"state_dict": ..., "metadata": {"kwargs": constructor arguments}}; what the original
package saves in training is a `torch.package` archive of the same (`packaged.py`). Every convolution is stored as a
direction `weight_v` and a length `weight_g` per output row. The released models (16, 24 and 44.1 kHz) are under the
MIT license. Loading never executes code from a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import DacConfig, DacModel

from amtts_codecs.dac.packaged import is_packaged, read_packaged
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.errors import CheckpointError
from amtts_core.storage.torch_files import load_torch_file, reading_safely

MEND = "Get the file again, or give other weights"
SIZES = ("encoder_dim", "decoder_dim", "n_codebooks", "codebook_size", "codebook_dim", "sample_rate")
"""Whole positive numbers among a published model's constructor arguments."""
FOLDER_SIZES = (
    "encoder_hidden_size",
    "decoder_hidden_size",
    "n_codebooks",
    "codebook_size",
    "codebook_dim",
    "sampling_rate",
)
"""The same in the `config.json` of a Hugging Face folder."""
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
        CheckpointError: unreadable, of an unknown layout, or a tensor is missing, unexpected, of another size or not
            finite. It names the file.
    """
    return _from_folder(path) if path.is_dir() else _from_published(path)


def _filled(network: DacModel, weights: Mapping[str, Tensor], path: Path) -> DacModel:
    """`network` with `weights`, weight norm folded, loaded strictly."""
    try:
        folded = fold_weight_norm(weights)
        load_strict(network, folded, backend="dac")
    except CheckpointError as error:
        raise CheckpointError(f"DAC weights {path}: {error.message}", remedy=error.remedy or MEND) from None
    for name, tensor in network.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"DAC weights {path}: tensor '{name}' holds a number that is not finite", remedy=MEND
            )
    return network


def _require_sizes(values: Mapping[str, Any], names: tuple[str, ...], rates: str, where: str) -> None:
    """Refuses sizes that are not whole positive numbers; `rates` is the name of the list of strides.

    Raises:
        CheckpointError: one is missing or of another kind; names it and its value.
    """
    found = {name: values[name] for name in (*names, rates) if name in values}
    missing = [name for name in (*names, rates) if name not in values]
    if missing:
        raise CheckpointError(f"{where} lacks '{missing[0]}'", remedy=MEND)
    for name in names:
        if not _is_size(found[name]):
            raise CheckpointError(
                f"{where}: {name} is {found[name]!r}, expected a whole number above 0", remedy=MEND
            )
    strides = found[rates]
    if not isinstance(strides, list | tuple) or not strides or not all(map(_is_size, strides)):
        raise CheckpointError(
            f"{where}: {rates} is {strides!r}, expected a list of whole numbers above 0", remedy=MEND
        )


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def read_published(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Constructor arguments and weights of a published file, read without executing anything from it.

    Raises:
        CheckpointError: unreadable, or of another layout.
    """
    what = "DAC weights"
    with reading_safely(path, what=what):
        stored: Any = read_packaged(path) if is_packaged(path) else load_torch_file(path, what=what)
    try:
        arguments, weights = dict(stored["metadata"]["kwargs"]), dict(stored["state_dict"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"DAC weights {path}: expected a dictionary with 'state_dict' and 'metadata.kwargs', "
            "as descript-audio-codec saves it",
            remedy=f"Give the folder that it lies in: {path.parent}"
            if path.suffix == ".safetensors"
            else MEND,
        ) from None
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(
                f"DAC weights {path}: '{name}' is {type(tensor).__name__}, expected a tensor", remedy=MEND
            )
    return arguments, weights


def _from_published(path: Path) -> DacModel:
    arguments, weights = read_published(path)
    network = _network(_config(arguments, path))
    names = module_names(len(network.config.downsampling_ratios))
    return _filled(network, renamed(weights, names), path)


def _config(arguments: Mapping[str, Any], path: Path) -> DacConfig:
    """`DacConfig` of a published model's constructor arguments."""
    _require_sizes(arguments, SIZES, "encoder_rates", f"DAC weights {path}: metadata.kwargs")
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
    mirrored = arguments.get("decoder_rates")
    if not isinstance(mirrored, list | tuple) or list(config.upsampling_ratios) != list(mirrored):
        raise CheckpointError(
            f"DAC weights {path}: decoder rates {mirrored} do not mirror the encoder's "
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
        settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise CheckpointError(f"DAC folder {path}: config.json holds no object", remedy=MEND)
        stated = {**DacConfig().to_dict(), **settings}  # what a configuration leaves out is the class's own
        _require_sizes(stated, FOLDER_SIZES, "downsampling_ratios", f"DAC folder {path}: config.json")
        config = DacConfig(**settings)
        tensors = load_file(weights)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"DAC folder {path} cannot be read: {str(error).splitlines()[0]}") from None
    network = _network(config)
    return _filled(network, tensors, path)
