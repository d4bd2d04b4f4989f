"""A vocoder of a few thousand weights, untrained, as a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from amtts_core.checkpoints.checkpoint import CheckpointInfo, write_checkpoint
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
    network = VocoderBackend(config).network
    info = CheckpointInfo(
        backend="vocoder",
        backend_config=config.model_dump(mode="json"),
        sample_rate=config.mel.sample_rate,
    )
    write_checkpoint(folder, info, network.state_dict(), tokenizer=None)
    return folder
