"""LoRA by peft on layers that really exist, and which parameters each training type moves.

HF GPT-2 blocks are `Conv1D` (weights stored in x out), which patterns made for `nn.Linear` miss; here a target counts
only if layers match it, and none is an error. peft comes with `pip install amtts[lora]`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import torch
from torch import Tensor, nn

from amtts_core.config.sections import TrainingType
from amtts_core.contract.types import TextTensor
from amtts_core.errors import AmttsError, CheckpointError, ConfigError, nearest

TRAINING_TYPES: tuple[TrainingType, ...] = get_args(TrainingType)
ADAPTER = "default"
"""The name that peft gives an adapter."""


def lora_targets(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of the layers that the patterns name.

    Args:
        network: is searched for `nn.Linear` and transformers' `Conv1D`.
        patterns: ends of layer names at a dot (`q_proj`, `attention.out`), or whole-name regular expressions.

    Raises:
        ConfigError: a pattern matches no layer; names the nearest layer.
    """
    from transformers.pytorch_utils import Conv1D

    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in layers if _matches(name, pattern)]
        if not matching:
            ends = sorted({name.rsplit(".", 1)[-1] for name in layers})
            raise ConfigError(
                f"LoRA target {pattern!r} matches none of {len(layers)} layers{nearest(pattern, ends)}",
                remedy=f"Their names end in: {', '.join(ends[:20])}",
            )
        found |= dict.fromkeys(matching)
    if not found:
        raise ConfigError("LoRA has no target", remedy="Name at least one layer, such as q_proj")
    return list(found)


def _matches(name: str, pattern: str) -> bool:
    if name == pattern or name.endswith(f".{pattern}"):
        return True
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def add_lora(
    network: nn.Module, patterns: Sequence[str], *, rank: int = 16, alpha: float = 32.0, dropout: float = 0.0
) -> list[str]:
    """Puts adapters on the matching layers, in place, and freezes everything else; returns the layers' names.

    The network computes the same as before until it is trained.

    Args:
        network: changed in place.
        patterns: see `lora_targets`.
        rank: of the two small matrices.
        alpha: their product is scaled by alpha / rank.
        dropout: of the adapters' input in training.

    Raises:
        AmttsError: peft is not installed.
        ConfigError: a pattern matches nothing.
    """
    targets = lora_targets(network, patterns)
    _inject(network, r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    adapted = {name.rsplit(".lora_A", 1)[0] for name, _ in network.named_parameters() if ".lora_A." in name}
    if adapted != set(targets):
        raise ConfigError(f"LoRA was put on {len(adapted)} layers, expected {len(targets)}")
    return targets


def _inject(network: nn.Module, **settings: Any) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as fault:
        raise AmttsError(
            f"LoRA needs the package peft ({fault})", remedy="Install it with: pip install 'amtts[lora]'"
        ) from None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")  # peft sets it itself for Conv1D
        inject_adapter_in_model(LoraConfig(**settings), network)


def describe_adapters(
    network: nn.Module, targets: Sequence[str], *, rank: int, alpha: float
) -> dict[str, Any]:
    """What `merge_stored` needs: the layers, their scale, and those whose weights are transposed."""
    from transformers.pytorch_utils import Conv1D

    modules = dict(network.named_modules())
    turned = [name for name in targets if isinstance(modules[name].base_layer, Conv1D)]
    return {"rank": rank, "alpha": alpha, "targets": list(targets), "transposed": turned}


def merge_stored(weights: Mapping[str, Tensor], adapters: Mapping[str, Any]) -> dict[str, Tensor]:
    """A stored state with adapters as one without: merged weights under the layers' own names. Needs no peft.

    Args:
        weights: as `write_checkpoint` stored them.
        adapters: as `describe_adapters` returned.

    Raises:
        CheckpointError: an adapter is missing or does not fit its layer.
    """
    state = dict(weights)
    scale = float(adapters["alpha"]) / int(adapters["rank"])
    for name, (down, up) in stored_adapters(weights, adapters).items():
        base = state.pop(f"{name}.base_layer.weight")
        del state[f"{name}.lora_A.{ADAPTER}.weight"], state[f"{name}.lora_B.{ADAPTER}.weight"]
        product = up @ down
        if name in adapters["transposed"]:
            product = product.T
        if product.shape != base.shape:
            raise CheckpointError(
                f"the adapter on '{name}' gives {list(product.shape)}, the layer has {list(base.shape)}"
            )
        state[f"{name}.weight"] = base + (scale * product).to(base.dtype)
        if f"{name}.base_layer.bias" in state:
            state[f"{name}.bias"] = state.pop(f"{name}.base_layer.bias")
    return state


def stored_adapters(
    weights: Mapping[str, Tensor], adapters: Mapping[str, Any]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer -> its two matrices, (r, in) and (out, r). Arguments and errors as `merge_stored`."""
    found = {}
    for name in adapters["targets"]:
        down = weights.get(f"{name}.lora_A.{ADAPTER}.weight")
        up = weights.get(f"{name}.lora_B.{ADAPTER}.weight")
        if f"{name}.base_layer.weight" not in weights or down is None or up is None:
            raise CheckpointError(f"the checkpoint names an adapter on '{name}', its weights hold none")
        found[name] = (down, up)
    return found


@contextmanager
def merged_adapters(network: nn.Module) -> Iterator[None]:
    """Inside, the network has plain layers with the adapters in their weights; outside all is as before, bit by bit.

    For code that reads weights or names of layers itself, as decoders and exports do. Without adapters nothing happens.
    """
    layers = [(name, module) for name, module in network.named_modules() if hasattr(module, "base_layer")]
    before = []
    for name, module in layers:
        layer: Any = module
        before.append(layer.base_layer.weight.detach().clone())
        with torch.no_grad():
            for adapter in layer.active_adapters:
                layer.base_layer.weight += layer.get_delta_weight(adapter).to(layer.base_layer.weight.dtype)
        network.set_submodule(name, layer.base_layer)
    try:
        yield
    finally:
        for (name, module), weight in zip(layers, before, strict=True):
            layer = module
            with torch.no_grad():
                layer.base_layer.weight.copy_(weight)
            network.set_submodule(name, layer)


def choose_trainable(
    network: nn.Module, training_type: TrainingType, text_tensors: Sequence[TextTensor]
) -> list[str]:
    """Enables gradients for what a training type trains, disables the others; returns the trained names.

    `full` everything; `lora` the adapters that `add_lora` made; `lora+new-tokens` those and the text tensors (freeze
    their old rows with `FrozenRows`); `embeddings-only` the text tensors.

    Raises:
        ConfigError: nothing would be trained: adapters or text tensors are missing.
    """
    if training_type not in TRAINING_TYPES:
        raise ConfigError(f"training type {training_type!r}{nearest(training_type, TRAINING_TYPES)}")
    text = {rows.tensor for rows in text_tensors}
    learning = []
    for name, parameter in network.named_parameters():
        adapter, row = ".lora_" in name, name in text
        trained = {
            "full": True,
            "lora": adapter,
            "lora+new-tokens": adapter or row,
            "embeddings-only": row,
        }[training_type]
        parameter.requires_grad_(trained)
        if trained:
            learning.append(name)
    adapters = any(".lora_" in name for name in learning)
    if not learning or (training_type.startswith("lora") and not adapters):
        raise ConfigError(
            f"training type {training_type!r} would train nothing new: the network has "
            f"{'no adapters' if training_type.startswith('lora') else 'no text tensors'}"
        )
    if training_type == "lora+new-tokens" and not text & set(learning):
        raise ConfigError("training type 'lora+new-tokens': the network has no text tensors")
    return learning
