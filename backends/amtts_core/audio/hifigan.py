"""A HiFi-GAN (Kong et al. 2020) given by path, in place of Griffin-Lim.

Reads a Hugging Face folder of `SpeechT5HifiGan` (config.json + model.safetensors), or an original jik876/hifi-gan
folder (config.json + a generator file with the key "generator"), whose names are mapped here.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.audio.mel import MelConfig
from amtts_core.errors import AmttsError


def load_hifigan(path: str, mel: MelConfig) -> Callable[[Tensor], Tensor]:
    """A function from natural-log mels (M, L) to a waveform (T,).

    Raises:
        AmttsError: no such folder, unreadable weights, or made for another sample rate, hop or mel size.
    """
    folder = Path(path)
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise TypeError
    except (OSError, ValueError, TypeError) as error:
        raise AmttsError(
            f"vocoder {folder}: config.json cannot be read ({type(error).__name__})",
            remedy="Give a HiFi-GAN folder with config.json and weights, or leave it out for Griffin-Lim",
        ) from None
    network, file = _empty(folder, settings)
    _check(network.config, mel, folder)
    if _is_hugging_face(settings):
        weights = _hugging_face(file)
    else:  # the original has no input normalisation
        weights = _original(file) | {name: getattr(network, name) for name in ("mean", "scale")}
    _fill(network, weights, file)
    network.eval()

    @torch.inference_mode()
    def vocode(log_mel: Tensor) -> Tensor:
        return network(log_mel.T[None].float()).reshape(-1)

    return vocode


def _is_hugging_face(settings: dict[str, Any]) -> bool:
    return settings.get("model_type") == "hifigan" or "SpeechT5HifiGan" in settings.get("architectures", [])


def _empty(folder: Path, settings: dict[str, Any]) -> tuple[Any, Path]:
    """The network that config.json describes, and the file with its weights."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    try:
        if _is_hugging_face(settings):
            config, file = SpeechT5HifiGanConfig.from_dict(settings), folder / "model.safetensors"
        else:
            config = SpeechT5HifiGanConfig(
                model_in_dim=settings["num_mels"],
                sampling_rate=settings["sampling_rate"],
                upsample_initial_channel=settings["upsample_initial_channel"],
                upsample_rates=settings["upsample_rates"],
                upsample_kernel_sizes=settings["upsample_kernel_sizes"],
                resblock_kernel_sizes=settings["resblock_kernel_sizes"],
                resblock_dilation_sizes=settings["resblock_dilation_sizes"],
                normalize_before=False,
            )
            files = sorted(p for p in folder.iterdir() if re.match(r"(g_|generator).*", p.name))
            if not files:
                raise AmttsError(f"vocoder {folder} holds no generator file (g_* or generator*)")
            file = files[-1]
        return SpeechT5HifiGan(config), file
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AmttsError(
            f"vocoder {folder}: config.json describes no HiFi-GAN ({type(error).__name__}: {error})"
        ) from None


def _hugging_face(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise AmttsError(f"vocoder {file.parent}: {file.name} cannot be read ({error})") from None


def _original(file: Path) -> dict[str, Tensor]:
    """The generator's tensors under the names of the Hugging Face network."""
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        return {re.sub(r"^ups\.", "upsampler.", name): tensor for name, tensor in stored["generator"].items()}
    except (
        OSError,
        EOFError,
        pickle.UnpicklingError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise AmttsError(
            f"vocoder {file.parent}: {file.name} cannot be read as a HiFi-GAN generator ({type(error).__name__})"
        ) from None


def _fill(network: Any, weights: dict[str, Tensor], file: Path) -> None:
    """Loads strictly, weight norm multiplied out; names the first tensor that does not fit."""
    weights = _fused(weights)
    own = network.state_dict()
    fault = ""
    for name, tensor in own.items():
        if name not in weights:
            fault = f"the tensor '{name}' is missing"
        elif weights[name].shape != tensor.shape:
            fault = f"'{name}' has shape {list(weights[name].shape)}, expected {list(tensor.shape)}"
        if fault:
            break
    unknown = sorted(set(weights) - set(own))
    if fault or unknown:
        raise AmttsError(
            f"vocoder {file.parent}: {file.name} does not fit its config.json: "
            f"{fault or f'unknown tensor {unknown[0]!r}'}"
        )
    network.load_state_dict(weights)


def _fused(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weight norm (Salimans & Kingma 2016) multiplied out: weight = g * v / |v|, norm over all axes but the first."""
    named = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in weights.items()
    }
    out = {name: tensor for name, tensor in named.items() if not name.endswith(("weight_g", "weight_v"))}
    for name, direction in named.items():
        size = named.get(name.removesuffix("_v") + "_g")
        if name.endswith("weight_v") and size is not None:
            norm = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (direction.ndim - 1))
            out[name.removesuffix("_v")] = size * direction / norm
    return out


def _check(config: Any, mel: MelConfig, folder: Path) -> None:
    hop = 1
    for rate in config.upsample_rates:
        hop *= rate
    pairs = (
        ("sample rate", config.sampling_rate, mel.sample_rate),
        ("hop", hop, mel.hop),
        ("mel channels", config.model_in_dim, mel.n_mels),
    )
    for what, theirs, ours in pairs:
        if theirs != ours:
            raise AmttsError(f"vocoder {folder} has {what} {theirs}, the backend makes {ours}")
