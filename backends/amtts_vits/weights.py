"""Names of published tensors, both ways, and reading them from files. The only place that knows them.

Generator: transformers' names; weight norm may be spelled `weight_g`/`weight_v` (as `save_pretrained` writes) or as a
parametrization (as modules hold it). Discriminator: the names of jaywalnut310/vits and of MMS `D_*.pth`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from amtts_core.errors import CheckpointError
from amtts_core.storage.foreign_weights import load_tensors_only, model_tensors
from amtts_core.storage.torch_files import reading_safely

_PARAMETRISED = ("parametrizations.weight.original0", "parametrizations.weight.original1")
_PUBLISHED = ("weight_g", "weight_v")


def parametrised_name(name: str) -> str:
    """A tensor's name with weight norm as torch's parametrized modules spell it."""
    return _renamed(name, _PUBLISHED, _PARAMETRISED)


def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of our modules."""
    return {parametrised_name(name): tensor for name, tensor in weights.items()}


def to_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the published names."""
    return {_renamed(name, _PARAMETRISED, _PUBLISHED): tensor for name, tensor in weights.items()}


def _renamed(name: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    for before, after in zip(old, new, strict=True):
        if name.endswith("." + before):
            return name.removesuffix(before) + after
    return name


def read_weights(file: Path, *, landmark: str = "") -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a .pth/.bin file (never executed), on the CPU.

    Args:
        file: of the weights.
        landmark: a tensor that it has; then prefixes and wrappers of other trainers are removed.

    Raises:
        CheckpointError: missing, damaged, or it holds no tensors.
    """
    if landmark:
        whole = load_tensors_only(file, what="weights")
        if (published := model_tensors(whole, file, landmark=landmark)) is not None:
            return published
    with reading_safely(file, what="weights"):
        stored: Any = (
            load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        )
        stored = stored.get("model", stored)  # the original code wraps them with its optimizer
        found = {name: tensor for name, tensor in stored.items() if isinstance(tensor, Tensor)}
    if not found:
        raise CheckpointError(f"weights {file} hold no tensor")
    return found


def decoder_norm_layers(decoder: nn.Module) -> list[nn.Module]:
    """The layers that are trained with weight norm: upsampler and residual blocks, not the first and last one."""
    pattern = re.compile(r"upsampler\.\d+|resblocks\.\d+\.convs[12]\.\d+")
    return [module for name, module in decoder.named_modules() if pattern.fullmatch(name)]


def add_decoder_norm(decoder: nn.Module) -> None:
    """Splits the decoder's plain weights into length and direction (Salimans & Kingma 2016), values unchanged."""
    for layer in decoder_norm_layers(decoder):
        weight_norm(layer)


def split_norm(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Plain weights split into length and direction wherever `own` holds them so."""
    out = dict(weights)
    for name in own:
        plain = name.removesuffix(_PARAMETRISED[1]) + "weight"
        if name.endswith(_PARAMETRISED[1]) and plain in out:
            direction = out.pop(plain)
            out[name] = direction
            size = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (direction.ndim - 1))
            out[name.removesuffix(_PARAMETRISED[1]) + _PARAMETRISED[0]] = size
    return out


def fold_norm(module: nn.Module) -> None:
    """Multiplies every weight norm inside `module` out; transformers' own method for this raises."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")


def folded_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with every weight norm multiplied out, as torch does it."""
    length, direction = ("." + name for name in _PARAMETRISED)
    out = {name: tensor for name, tensor in weights.items() if not name.endswith((length, direction))}
    for name, tensor in weights.items():
        if name.endswith(length):
            layer = name.removesuffix(length)
            out[f"{layer}.weight"] = torch._weight_norm(weights[layer + direction], tensor, 0)
    return out


def check_discriminator(weights: Mapping[str, Tensor], source: Path | str) -> None:
    """Refuses a file that is no discriminator: some published D_*.pth hold a generator instead.

    Raises:
        CheckpointError: names a tensor that does not belong there.
    """
    strange = [name for name in weights if not name.startswith("discriminators.")]
    if strange:
        kind = (
            "a generator's"
            if strange[0].startswith(("enc_p.", "dec.", "enc_q.", "flow.", "dp."))
            else "not one"
        )
        raise CheckpointError(
            f"{source} is no VITS discriminator: tensor '{strange[0]}' is {kind}; "
            "expected names such as 'discriminators.0.convs.0.weight_g'",
            remedy="Leave model.start_discriminator out to start with a fresh one, or take another language's",
        )


def discriminator_sizes(weights: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """`scale_channels` and `period_channels` of a discriminator's tensors, in either spelling.

    Raises:
        CheckpointError: the first layers are missing.
    """
    weights = to_published(weights)
    found = {}
    for key, number in (("scale_channels", 0), ("period_channels", 1)):
        prefix = f"discriminators.{number}.convs."
        biases = [name for name in weights if name.startswith(prefix) and name.endswith(".bias")]
        if len(biases) < 2:
            raise CheckpointError(f"discriminator weights lack the tensor '{prefix}0.bias'")
        found[key] = [len(weights[f"{prefix}{layer}.bias"]) for layer in range(len(biases) - 1)]
    return found
