"""How fast a run is: utterances, speech, tokens, padding, waiting, and how busy that keeps the GPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from amtts_core.contract.backend import Backend
from amtts_core.contract.types import Batch
from amtts_core.data.dataset import SpeechDataset
from amtts_core.training.distributed.processes import Processes
from amtts_core.units import Seconds

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
"""Part of a GPU's name -> peak floating-point operations per second in 16 bits with 32-bit accumulation, without
sparsity, from NVIDIA's data sheets and architecture white papers. The first match counts."""


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Peak of the GPU in this precision; None where it is not known."""
    if device.type != "cuda" or precision == "fp32":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def flops_per_position(backend: Backend) -> float | None:
    """Operations of forward and backward pass for one position: 6 x parameters (Kaplan et al. 2020).

    That holds for transformers, in which every parameter takes part in every position; None for other networks.
    """
    if backend.spec.learns_from != "codes":
        return None
    return 6.0 * sum(p.numel() for p in backend.network.parameters())


@dataclass
class ThroughputCounter:
    """Sums of one process over some steps; seconds of training steps only, without validation and checkpoints."""

    seconds: Seconds = 0.0
    waiting: Seconds = 0.0
    utterances: int = 0
    audio: Seconds = 0.0
    padded_audio: Seconds = 0.0
    tokens: int = 0
    frames: int = 0

    def add(self, other: ThroughputCounter) -> None:
        """Adds the sums of another counter."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class UtteranceSizes:
    """Durations, tokens and frames of the utterances of a dataset.

    Args:
        data: what is trained on.
    """

    def __init__(self, data: SpeechDataset) -> None:
        self._index = {utterance.id: index for index, utterance in enumerate(data.utterances)}
        self._durations = np.array([utterance.duration for utterance in data.utterances])
        self._tokens = np.array([len(tokens) for tokens in data.tokens])
        self._frames = np.array(data.frames())

    def of(self, batches: Iterable[Batch], *, seconds: Seconds, waiting: Seconds) -> ThroughputCounter:
        """The counts of a step.

        Args:
            batches: of one process.
            seconds: that the step took, with waiting.
            waiting: for its batches.
        """
        count = ThroughputCounter(seconds=seconds, waiting=waiting)
        for batch in batches:
            rows = [self._index[name] for name in batch["ids"]]
            durations = self._durations[rows]
            count.utterances += len(rows)
            count.audio += float(durations.sum())
            count.padded_audio += float(durations.max()) * len(rows)
            count.tokens += int(self._tokens[rows].sum())
            count.frames += int(self._frames[rows].sum())
        return count


class SpeedMeter:
    """Turns counts into speeds over all processes.

    Args:
        backend: is trained.
        processes: of the run.
        device: of this process.
        precision: of the run.
    """

    def __init__(
        self, backend: Backend, processes: Processes, *, device: torch.device, precision: str
    ) -> None:
        self._processes = processes
        self._peak = peak_flops(device, precision)
        self._per_position = flops_per_position(backend) if self._peak else None

    def speeds(self, counter: ThroughputCounter) -> dict[str, float]:
        """Name -> value, over all processes; every one of them has to call this.

        `speed/mfu`, the share of the GPUs' peak that the network itself needs, is there where both are known.
        """
        total = self._processes.total(vars(counter))
        count = self._processes.count
        seconds = max(total["seconds"] / count, 1e-9)
        out = {
            "speed/utterances_per_second": total["utterances"] / seconds,
            "speed/audio_seconds_per_second": total["audio"] / seconds,
            "speed/tokens_per_second": total["tokens"] / seconds,
            "speed/data_wait_share": total["waiting"] / count / seconds,
            "speed/padding_share": 1 - total["audio"] / max(1e-9, total["padded_audio"]),
        }
        if self._peak and self._per_position:
            needed = self._per_position * (total["frames"] + total["tokens"])
            out["speed/mfu"] = needed / seconds / (self._peak * count)
        return out
