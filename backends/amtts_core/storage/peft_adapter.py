"""LoRA adapters in the format of Hugging Face PEFT: put on the weights they were trained on, and written.

A folder of PEFT holds `adapter_config.json` and `adapter_model.safetensors` (or `.bin`). Names in it are those of the
base weights behind `base_model.model.`; what was trained whole (`modules_to_save`) is there without `lora_`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.errors import CheckpointError, command
from amtts_core.storage.foreign_weights import load_tensors_only

logger = logging.getLogger(__name__)
CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
PREFIX = "base_model.model."
_UNSUPPORTED = ("use_dora", "megatron_config", "alora_invocation_tokens", "trainable_token_indices")
"""Settings under which an adapter is more than two matrices a layer."""


def is_adapter(path: Path) -> bool:
    """True for a folder that PEFT wrote."""
    return (path / CONFIG).is_file()


def base_of(folder: Path) -> Path:
    """The weights that an adapter was trained on: those its config names, else others in its folder.

    Raises:
        CheckpointError: the named ones are not on this machine, and the folder holds no others.
    """
    named = str(_config(folder).get("base_model_name_or_path") or "")
    for path in (Path(named), folder / named):
        if named and path.exists() and path.resolve() != folder.resolve():
            return path
    others = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in (".safetensors", ".pt", ".pth", ".bin") and path.name not in WEIGHTS
    ]
    if others:
        return others[0]
    from_whom = f"they are '{named}', which is not here" if named else f"its {CONFIG} does not say which"
    raise CheckpointError(
        f"{folder} is a PEFT adapter, which needs the weights that it was trained on: {from_whom}",
        remedy=f"Put them into its folder: {command('ln', '-s', '/path/to/WEIGHTS.safetensors', folder)}",
    )


def with_adapter(folder: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Base weights with an adapter merged into them; as they are where the folder holds none.

    Args:
        folder: of the adapter.
        weights: of its base, under the names it was trained under.

    Raises:
        CheckpointError: of another kind than LoRA, for other weights, or of another size.
    """
    state = dict(weights)
    if not is_adapter(folder):
        return state
    config = _config(folder)
    kind = config.get("peft_type", "LORA")
    if kind != "LORA" or any(config.get(name) for name in _UNSUPPORTED):
        more = next((name for name in _UNSUPPORTED if config.get(name)), "")
        raise CheckpointError(
            f"{folder} is a PEFT adapter of kind {kind}{f' with {more}' if more else ''}, which cannot be merged here",
            remedy="Merge it with the program that trained it (peft: merge_and_unload), and give the merged weights",
        )
    stored = _stored(folder)
    layers = sorted(name.removesuffix(".lora_A.weight") for name in stored if name.endswith(".lora_A.weight"))
    for layer in layers:
        _merge(folder, config, layer, stored, state)
    whole = {name: tensor for name, tensor in stored.items() if ".lora_" not in name}
    for name, tensor in whole.items():
        _check_known(folder, name, state)
        state[name] = tensor
    if not layers and not whole:
        raise CheckpointError(f"{folder} is a PEFT adapter without any LoRA matrix")
    logger.warning(
        "%s is a PEFT adapter: %d layers merged into their base%s",
        folder,
        len(layers),
        f", replaced as a whole: {', '.join(sorted(whole))}" if whole else "",
    )
    return state


def write_adapter(
    folder: Path,
    layers: Mapping[str, tuple[Tensor, Tensor]],
    *,
    rank: int,
    alpha: float,
    whole: Mapping[str, Tensor],
    base: str,
    transposed: bool,
) -> list[Path]:
    """Writes an adapter that PEFT and `with_adapter` read.

    Args:
        folder: exists.
        layers: name of a layer -> lora_A (rank, in) and lora_B (out, rank).
        rank: of the matrices.
        alpha: their product is scaled by alpha / rank.
        whole: tensors that were trained as a whole, under the names of the base weights.
        base: the weights that they belong to.
        transposed: the base stores the matrices of these layers as (in, out), as GPT-2 does.
    """
    from safetensors.torch import save_file

    tensors = {PREFIX + name: tensor.contiguous() for name, tensor in whole.items()}
    for name, (down, up) in layers.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = down.contiguous().clone()  # joined layers share it
        tensors[f"{PREFIX}{name}.lora_B.weight"] = up.contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": transposed,
        "target_modules": sorted(layers),
        "modules_to_save": sorted({name.rpartition(".")[0] for name in whole}) or None,
        "inference_mode": True,
    }
    save_file(tensors, folder / WEIGHTS[0], metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return [folder / WEIGHTS[0], folder / CONFIG]


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise CheckpointError(f"{folder / CONFIG} cannot be read ({fault})") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{folder / CONFIG}: expected an object, found {type(found).__name__}")
    return found


def _stored(folder: Path) -> dict[str, Tensor]:
    """The adapter's tensors under the names of its base."""
    file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"{folder} holds {CONFIG} and none of {', '.join(WEIGHTS)}")
    stored = load_tensors_only(file, what="adapter")
    if not isinstance(stored, Mapping):
        raise CheckpointError(f"adapter {file}: expected tensors by name, found {type(stored).__name__}")
    return {_base_name(str(name)): tensor for name, tensor in stored.items() if isinstance(tensor, Tensor)}


def _base_name(name: str) -> str:
    for part in (".modules_to_save.default", ".modules_to_save", ".base_layer"):
        name = name.replace(part, "")
    name = name.replace(".lora_A.default.", ".lora_A.").replace(".lora_B.default.", ".lora_B.")
    return name.removeprefix(PREFIX)


def _check_known(folder: Path, name: str, state: Mapping[str, Tensor]) -> None:
    if name not in state:
        raise CheckpointError(
            f"adapter {folder} changes '{name}', which its base lacks ({len(state)} tensors, such as "
            f"{', '.join(sorted(state)[:2])})"
        )


def _merge(
    folder: Path,
    config: Mapping[str, Any],
    layer: str,
    stored: Mapping[str, Tensor],
    state: dict[str, Tensor],
) -> None:
    """Adds the product of a layer's two matrices to its weight."""
    _check_known(folder, f"{layer}.weight", state)
    down, up = stored[f"{layer}.lora_A.weight"], stored.get(f"{layer}.lora_B.weight")
    if up is None:
        raise CheckpointError(f"adapter {folder}: layer '{layer}' has lora_A and no lora_B")
    rank = down.shape[0]
    alpha = float(_of_layer(config.get("alpha_pattern"), layer, config.get("lora_alpha") or rank))
    scale = alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
    base = state[f"{layer}.weight"]
    product = scale * (up.float() @ down.float())
    if config.get("fan_in_fan_out") or (product.shape != base.shape and product.T.shape == base.shape):
        product = product.T
    if product.shape != base.shape:
        raise CheckpointError(
            f"adapter {folder} gives {list(product.shape)} for '{layer}.weight', its base has {list(base.shape)}"
        )
    state[f"{layer}.weight"] = (base.float() + product).to(base.dtype)


def _of_layer(pattern: Any, layer: str, otherwise: Any) -> Any:
    """What a pattern of PEFT, by the ends of layers' names, says of a layer."""
    for end, value in (pattern or {}).items():
        if layer == end or layer.endswith(f".{end}"):
            return value
    return otherwise


def split_layer(down: Tensor, up: Tensor, names: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """An adapter on joined layers, as one a layer: the first matrix is shared, the second is cut in equal parts."""
    return {name: (down, part) for name, part in zip(names, up.chunk(len(names)), strict=True)}
