"""A HiFi-GAN (Kong et al. 2020) given by path, in place of Griffin-Lim.

Reads a Hugging Face folder of `SpeechT5HifiGan` (config.json + model.safetensors), or an original jik876/hifi-gan
folder (config.json + a generator file with the key "generator"), whose names are mapped here.
"""

from __future__ import annotations

import json
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
    except (OSError, ValueError) as error:
        raise AmttsError(
            f"vocoder {folder}: config.json cannot be read ({type(error).__name__})",
            remedy="Give a HiFi-GAN folder with config.json and weights, or leave it out for Griffin-Lim",
        ) from None
    network = (
        _hugging_face(folder)
        if "upsample_initial_channel" in settings and _is_hugging_face(settings)
        else None
    )
    network = network or _original(folder, settings)
    _check(network.config, mel, folder)
    network.eval()

    @torch.inference_mode()
    def vocode(log_mel: Tensor) -> Tensor:
        return network(log_mel.T[None].float()).reshape(-1)

    return vocode


def _is_hugging_face(settings: dict[str, Any]) -> bool:
    return settings.get("model_type") == "hifigan" or "SpeechT5HifiGan" in settings.get("architectures", [])


def _hugging_face(folder: Path) -> Any:
    from transformers import SpeechT5HifiGan

    return SpeechT5HifiGan.from_pretrained(folder, local_files_only=True, use_safetensors=True)


def _original(folder: Path, settings: dict[str, Any]) -> Any:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    files = sorted(p for p in folder.iterdir() if re.match(r"(g_|generator).*", p.name))
    if not files:
        raise AmttsError(f"vocoder {folder} holds no generator file (g_* or generator*)")
    try:
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
        network = SpeechT5HifiGan(config)
        weights = torch.load(files[-1], map_location="cpu", weights_only=True)["generator"]
    except (KeyError, OSError, RuntimeError, TypeError) as error:
        raise AmttsError(f"vocoder {folder}: {files[-1].name} cannot be read ({error})") from None
    network.apply_weight_norm()
    own = network.state_dict()
    renamed = {
        re.sub(r"^ups\.", "upsampler.", _norm_name(name, own)): value for name, value in weights.items()
    }
    renamed |= {name: own[name] for name in ("mean", "scale")}
    try:
        network.load_state_dict(renamed, strict=True)
    except RuntimeError as error:
        raise AmttsError(
            f"vocoder {folder}: {files[-1].name} does not fit its config.json ({error})"
        ) from None
    network.remove_weight_norm()
    return network


def _norm_name(name: str, own: dict[str, Any]) -> str:
    """Old weight-norm names (weight_g, weight_v) as the installed torch calls them."""
    if any("parametrizations" in key for key in own):
        name = name.replace("weight_g", "parametrizations.weight.original0")
        name = name.replace("weight_v", "parametrizations.weight.original1")
    return name


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
