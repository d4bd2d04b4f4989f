"""How fast a run learns: utterances, speech, tokens, padding, waiting, and how busy that keeps the GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from amtts_core.training.trainer import Trainer

PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "V100": 125e12,
    "T4": 65e12,
}
"""Part of a GPU's name -> floating-point operations per second in 16 bits with 32-bit sums, without sparsity, as its
maker states them. The first match counts."""


def peak_flops(device: torch.device, precision: str) -> float | None:
    """What the GPU could do at most in this precision; None where that is not known."""
    if device.type != "cuda" or precision == "fp32":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def flops_per_position(trainer: Trainer) -> float | None:
    """Operations of forward and backward pass for one position: 6 x parameters (Kaplan et al. 2020).

    That holds for transformers, in which every parameter meets every position; None for other networks.
    """
    if trainer.backend.spec.learns_from != "codes":
        return None
    return 6.0 * sum(p.numel() for p in trainer.backend.network.parameters())


@dataclass
class ThroughputCounter:
    """Sums of one process over some steps; seconds of learning only, without validation, samples and checkpoints."""

    seconds: float = 0.0
    waiting: float = 0.0
    utterances: int = 0
    audio: float = 0.0
    tokens: int = 0
    frames: int = 0
    padded: int = 0

    def add(self, other: ThroughputCounter) -> None:
        """Takes in what another one has counted."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def speeds(trainer: Trainer, meter: ThroughputCounter) -> dict[str, float]:
    """Name -> value, over all processes; every one of them has to call this.

    `speed/mfu`, the share of the GPUs' peak that the network itself asks for, is there where both are known.
    """
    total = trainer.processes.total(vars(meter))
    count = trainer.processes.count
    seconds = max(total["seconds"] / count, 1e-9)
    out = {
        "speed/utterances_per_second": total["utterances"] / seconds,
        "speed/audio_seconds_per_second": total["audio"] / seconds,
        "speed/tokens_per_second": total["tokens"] / seconds,
        "speed/data_wait_share": total["waiting"] / count / seconds,
        "speed/padding_share": 1 - total["frames"] / max(1, total["padded"]),
    }
    peak = peak_flops(trainer.accelerator.device, trainer.config.precision)
    needed = flops_per_position(trainer) if peak else None
    if peak and needed:
        out["speed/mfu"] = needed * (total["frames"] + total["tokens"]) / seconds / (peak * count)
    return out
