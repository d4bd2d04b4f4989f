"""Tiny codecs for tests: DAC weights in the published layout, and bundles of stored numbers made with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import DacConfig, DacModel

from amtts_codecs.dac.codec import DacCodec
from amtts_codecs.dac.weights import module_names

RATES = [2, 4, 5, 8]
ARGUMENTS: dict[str, Any] = {
    "encoder_dim": 4,
    "encoder_rates": RATES,
    "latent_dim": None,
    "decoder_dim": 32,
    "decoder_rates": RATES[::-1],
    "n_codebooks": 3,
    "codebook_size": 16,
    "codebook_dim": 4,
    "quantizer_dropout": 0.5,
    "sample_rate": 16000,
}


OFFICIAL: dict[int, dict[str, Any]] = {
    24000: {"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 32, "codebook_size": 1024},
    44100: {"downsampling_ratios": [2, 4, 8, 8], "n_codebooks": 9, "codebook_size": 1024},
}
"""Rate of an official model -> its strides and codebooks: 75 and 86.13 codes a second."""


def tiny_dac(seed: int = 0, **changes: Any) -> DacModel:
    """A random network of 320 samples a frame at 16 kHz and 3 codebooks of 16, or what `changes` say."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "encoder_hidden_size": 4,
        "downsampling_ratios": RATES,
        "decoder_hidden_size": 32,
        "n_codebooks": 3,
        "codebook_size": 16,
        "codebook_dim": 4,
        "sampling_rate": 16000,
    }
    network = DacModel(DacConfig(**{**settings, **changes}))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.endswith("alpha"):
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


def published_state(network: DacModel) -> dict[str, Tensor]:
    """The network's tensors as descript-audio-codec names and splits them."""
    back = {ours: published for published, ours in module_names(len(RATES)).items()}
    out: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        module, _, leaf = name.rpartition(".")
        stem = f"{back.get(module, module)}.{leaf}"
        if leaf == "weight" and tensor.ndim == 3:
            out[f"{stem}_g"] = tensor.flatten(1).norm(dim=1)[:, None, None] * 2
            out[f"{stem}_v"] = tensor * 3  # its length means nothing
        else:
            out[stem] = tensor
    return out


def write_pth(path: Path, *, seed: int = 0, **changes: Any) -> DacModel:
    """A `.pth` in the released layout; returns the network it stands for (lengths doubled as `weight_g` says)."""
    network = tiny_dac(seed)
    state = published_state(network)
    metadata = {"kwargs": {**ARGUMENTS, **changes}}
    torch.save({"state_dict": state, "metadata": metadata}, path)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(".weight") and parameter.ndim == 3:
                parameter.mul_(2)
    return network


def write_bundle(folder: Path) -> Path:
    """A reference bundle made by this code itself: it holds the format of bundles, not the maths."""
    folder.mkdir(parents=True, exist_ok=True)
    write_pth(folder / "weights.pth")
    codec = DacCodec.open(folder / "weights.pth")
    audio = torch.randn(2, 5000) * 0.1
    codes, latents = codec.encode_latents(audio)
    padded = torch.nn.functional.pad(audio, (0, -5000 % 320))
    expected = {"audio": audio, "audio_padded": padded, "decoded": codec.decode(codes)}
    tensors = {name: tensor[:, None].contiguous() for name, tensor in expected.items()}
    save_file({**tensors, "codes": codes, "z": latents}, folder / "expected.safetensors")
    told = {"num_codebooks": 3, "cardinality": 16, "frame_rate": 50.0, "hop_length": 320}
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder
