"""Holds the codec to numbers that the original descript-audio-codec made.

A bundle is a folder with `weights.pth`, `config.json` and `expected.safetensors`: `audio` (B, 1, T),
`audio_padded` (B, 1, T'), `codes` (B, K, L), `z` (B, C, L), `decoded` (B, 1, T'').
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from amtts_codecs.dac.codec import DacCodec
from amtts_core.backend import ReferenceCheck
from amtts_core.errors import AmttsError

TOLERANCE = 1e-5


def reference_checks(folder: Path) -> list[ReferenceCheck]:
    """Compares padding, codes, latents, audio and derived settings with the bundle.

    Raises:
        AmttsError: the bundle cannot be read.
    """
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        expected = load_file(folder / "expected.safetensors")
        audio, codes = expected["audio"][:, 0], expected["codes"]
        z, decoded, padded = expected["z"], expected["decoded"], expected["audio_padded"][:, 0]
        settings = {key: float(told[key]) for key in ("num_codebooks", "cardinality", "frame_rate")}
        hop = int(told["hop_length"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise AmttsError(f"DAC bundle {folder} cannot be read ({type(error).__name__}: {error})") from None
    codec = DacCodec.open(folder / "weights.pth")
    found, latents = codec.encode_latents(audio)
    alone = torch.cat([codec.encode(row[None]) for row in audio])
    whole = functional.pad(audio, (0, -audio.shape[1] % codec.hop))
    checks = [_check(key, torch.tensor(value), _setting(codec, key), 0) for key, value in settings.items()]
    return [
        *checks,
        _check("hop_length", torch.tensor(hop), torch.tensor(codec.hop), 0),
        _check("audio_padded", padded, whole, 0),
        _check("codes", codes, found, 0),
        _check("codes one by one", codes, alone, 0),
        _check("z", z, latents, TOLERANCE),
        _check("decoded", decoded[:, 0], codec.decode(codes), TOLERANCE),
    ]


def _setting(codec: DacCodec, key: str) -> Tensor:
    return torch.tensor(float(getattr(codec, key)))


def _check(name: str, expected: Tensor, found: Tensor, tolerance: float) -> ReferenceCheck:
    """The largest difference; infinite where the shapes differ."""
    if expected.shape != found.shape:
        return ReferenceCheck(
            f"{name} {list(found.shape)}, not {list(expected.shape)}", float("inf"), tolerance
        )
    return ReferenceCheck(name, float((expected.double() - found.double()).abs().max()), tolerance)
