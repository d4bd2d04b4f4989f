"""Holds the codec to numbers that the original descript-audio-codec made.

A bundle is a folder with `weights.pth`, `config.json` and `expected.safetensors`: `audio` (B, 1, T),
`audio_padded` (B, 1, T'), `codes` (B, K, L), `z` (B, C, L), `decoded` (B, 1, T'').
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.reference_check import AGAIN, ReferenceCheck, read_object, read_tensors
from amtts_core.errors import AmttsError

TOLERANCE = 1e-5


def reference_checks(codec: Any, folder: Path) -> list[ReferenceCheck]:
    """Compares padding, codes, latents, audio and derived settings of a `DacCodec` with the bundle.

    Raises:
        AmttsError: the bundle cannot be read.
    """
    _, expected = _bundle(folder)
    audio = expected["audio"][:, 0]
    whole = functional.pad(audio, (0, -audio.shape[1] % codec.hop))
    return [
        *compare(codec, folder),
        _check("audio_padded", expected["audio_padded"][:, 0], whole, 0),
        _check("z", expected["z"], codec.encode_latents(audio)[1], TOLERANCE),
    ]


def compare(codec: SpeechCodec, folder: Path) -> list[ReferenceCheck]:
    """Compares what every codec has: settings, codes in a batch and one by one, decoded audio.

    Raises:
        AmttsError: the bundle cannot be read.
    """
    config, expected = _bundle(folder)
    audio, codes = expected["audio"][:, 0], expected["codes"]
    hop = torch.tensor(round(codec.sample_rate / codec.frame_rate))
    settings = [
        _check(key, torch.tensor(float(config[key])), torch.tensor(float(getattr(codec, key))), 0)
        for key in ("num_codebooks", "cardinality", "frame_rate")
    ]
    alone = torch.cat([codec.encode(row[None]) for row in audio])
    return [
        *settings,
        _check("hop_length", torch.tensor(int(config["hop_length"])), hop, 0),
        _check("codes", codes, codec.encode(audio), 0),
        _check("codes one by one", codes, alone, 0),
        _check("decoded", expected["decoded"][:, 0], codec.decode(codes), TOLERANCE),
    ]


def _bundle(folder: Path) -> tuple[dict[str, float], dict[str, Tensor]]:
    config, expected = read_object(folder / "config.json"), read_tensors(folder / "expected.safetensors")
    for key in ("num_codebooks", "cardinality", "frame_rate", "hop_length"):
        if not isinstance(config[key], int | float):
            raise AmttsError(
                f"reference bundle {folder}: {key} in config.json is {config[key]!r}, expected a number",
                remedy=AGAIN,
            )
    for key in ("audio", "codes", "z", "decoded", "audio_padded"):
        _ = expected[key]
    return config, expected


def _check(name: str, expected: Tensor, found: Tensor, tolerance: float) -> ReferenceCheck:
    """The largest difference; infinite where the shapes differ."""
    if expected.shape != found.shape:
        return ReferenceCheck(
            f"{name} {list(found.shape)}, not {list(expected.shape)}", float("inf"), tolerance
        )
    return ReferenceCheck(name, float((expected.double() - found.double()).abs().max()), tolerance)
