"""A vocoder of a few thousand weights, untrained, as a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from amtts_core.checkpoints.write_backend import write_backend
from amtts_vocoders.neural.backend import VocoderBackend
from amtts_vocoders.neural.config import VocoderConfig

SIZES = {
    "hidden": 16,
    "layers": 1,
    "expansion": 1,
    "projections": 3,
    "pitch": {"hidden": 16, "layers": 1, "bins": 16},
}


def tiny_vocoder(folder: Path, **changes: Any) -> Path:
    """Writes the checkpoint; `changes` are settings."""
    config = VocoderConfig.model_validate({**SIZES, **changes})
    torch.manual_seed(0)
    write_backend(folder, VocoderBackend(config))
    return folder
