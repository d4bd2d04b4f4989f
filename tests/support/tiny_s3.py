"""A tiny S3Gen in the official layout: weights made from their names, a voice encoder and a voice beside them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import save_file
from torch import Tensor

from amtts_chatterbox.s3 import recipe
from amtts_chatterbox.s3.names import FILTERS, WINDOW, computed_buffers
from amtts_chatterbox.s3.weights import S3Sizes, published_shapes
from amtts_chatterbox.voice_encoder import VoiceEncoder

SIZES = S3Sizes(
    tokenizer_width=64,
    tokenizer_layers=1,
    speaker_width=16,
    speaker_growth=4,
    speaker_bottleneck=8,
    encoder_width=32,
    encoder_heads=2,
    encoder_inner=48,
    encoder_layers=2,
    channels=32,
    heads=1,
    head_size=64,
    blocks=1,
    middle=2,
    vocoder_channels=40,
    pitch_channels=24,
)
SEED = 7


def tiny_weights(sizes: S3Sizes = SIZES, *, seed: int = SEED) -> dict[str, Tensor]:
    """All tensors under their published names."""
    shapes = published_shapes(sizes)
    made = {
        name: torch.from_numpy(recipe.weight(name, tuple(shape), seed))
        for name, shape in shapes.items()
        if name not in (FILTERS, WINDOW)
    }
    return made | {name: tensor.clone() for name, tensor in computed_buffers().items()}


@lru_cache(maxsize=1)
def shared_weights() -> Path:
    """One tiny s3gen.safetensors for all tests of a process."""
    folder = Path(tempfile.mkdtemp(prefix="amtts-tiny-s3-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    save_file(tiny_weights(), folder / "s3gen.safetensors")
    return folder / "s3gen.safetensors"


def tiny_encoder(size: int = 256) -> VoiceEncoder:
    """A voice encoder of the official vector size."""
    torch.manual_seed(3)
    return VoiceEncoder(hidden=8, size=size, layers=1)


def official_folder(folder: Path, *, voice: bool = True, encoder: bool = True) -> Path:
    """s3gen.safetensors, ve.safetensors and conds.pt, as Chatterbox publishes them."""
    from amtts_chatterbox.s3.codec import S3Codec
    from amtts_chatterbox.s3.voices import conditions_of

    folder.mkdir(parents=True, exist_ok=True)
    save_file(tiny_weights(), folder / "s3gen.safetensors")
    if encoder:
        weights = {name: tensor.contiguous() for name, tensor in tiny_encoder().state_dict().items()}
        save_file(weights, folder / "ve.safetensors")
    if voice:
        recording = write_voice(folder.parent / f"{folder.name}-built-in.wav", seconds=2.0, pitch=110)
        codec = S3Codec.open(folder)
        assert isinstance(codec, S3Codec)
        torch.save(conditions_of(codec.voice(recording)), folder / "conds.pt")
    return folder


def write_voice(path: Path, *, seconds: float = 4.0, pitch: float = 140.0, rate: int = 24000) -> Path:
    """A recording of something like a voice: harmonics that come and go."""
    time = np.arange(round(seconds * rate)) / rate
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    bend = 1 + 0.1 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch * bend) / rate
    wave = sum(np.sin(h * phase) / h for h in range(1, 9)) * loudness
    noise = np.random.default_rng(int(pitch)).normal(0, 0.003, len(time))
    soundfile.write(path, (0.15 * wave + noise).astype(np.float32), rate)
    return path


def chatterbox_folder(folder: Path) -> Path:
    """All files of the multilingual Chatterbox under their published names, in a small size."""
    from vocabularies import chatterbox_data, write_json, write_t3

    official_folder(folder)
    data = chatterbox_data()
    write_json(folder / "grapheme_mtl_merged_expanded_v1.json", data)
    write_t3(folder, len(data["model"]["vocab"])).rename(folder / "t3_mtl23ls_v3.safetensors")
    return folder
