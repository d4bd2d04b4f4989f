"""Holds the voice encoder and the log-mel front ends against a bundle of stored numbers.

The bundle is a folder with config.json (key `ve`), ve_tiny.safetensors (published names), inputs.safetensors
(`wav16k`, `wav24k`) and outputs.safetensors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from amtts_chatterbox.front_ends import s3_log_mel, s3gen_mel_24k, voice_mel
from amtts_chatterbox.voice_encoder import voice_encoder_of
from amtts_core.contract.reference_check import ReferenceCheck, read_tensors
from amtts_core.errors import AmttsError

WEIGHTS = "ve_tiny.safetensors"
TOLERANCE = 1e-5
LOG_MEL_TOLERANCE = 1e-4
"""A logarithm near its floor turns rounding of 1e-7 into more than the rest of the maths does."""
POWER_MEL_TOLERANCE = 1e-5
"""Relative to the loudest value."""


def is_audio_bundle(folder: Path) -> bool:
    """True where the folder holds a voice encoder."""
    return (folder / WEIGHTS).is_file()


def audio_checks(folder: Path) -> list[ReferenceCheck]:
    """One check per stored output.

    Raises:
        AmttsError: the bundle cannot be read.
    """
    inputs, outputs = (read_tensors(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    for name, tensors in (("wav16k", inputs), ("wav24k", inputs), ("ve_embed", outputs)):
        if name not in tensors:
            raise AmttsError(f"reference bundle {folder}: the tensor '{name}' is missing")
    encoder = voice_encoder_of(read_tensors(folder / WEIGHTS), source=f"reference bundle {folder}")
    low, high = inputs["wav16k"].flatten(), inputs["wav24k"].flatten()
    long = torch.cat([low, low * 0.7, low])
    makers: dict[str, tuple[Callable[[], Tensor], float]] = {
        "ve_mel_untrimmed": (lambda: voice_mel(low[None])[0], POWER_MEL_TOLERANCE),
        "ve_embed": (lambda: encoder.embed(low)[None], TOLERANCE),
        "ve_embed_long": (lambda: encoder.embed(long)[None], TOLERANCE),
        "s3_log_mel": (lambda: s3_log_mel(low[None]), LOG_MEL_TOLERANCE),
        "s3gen_mel_24k": (lambda: s3gen_mel_24k(high[None]), LOG_MEL_TOLERANCE),
    }
    return [
        _compared(name, make(), outputs[name], tolerance)
        for name, (make, tolerance) in makers.items()
        if name in outputs
    ]


def _compared(name: str, found: Tensor, stored: Tensor, tolerance: float) -> ReferenceCheck:
    if found.shape != stored.shape:
        return ReferenceCheck(name, float("inf"), tolerance)
    scale = max(1.0, float(stored.abs().max())) if name == "ve_mel_untrimmed" else 1.0
    return ReferenceCheck(name, float((found - stored).abs().max()) / scale, tolerance)
