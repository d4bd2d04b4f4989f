"""What callbacks may read of a running training, and the little they may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.data.dataset import SpeechDataset
from amtts_core.training.batch_loader import BatchLoader
from amtts_core.training.inference_weights import InferenceWeights
from amtts_core.training.step_counter import StepCounter

Losses = Callable[[Batch, str], Iterator[PhaseLoss]]
"""Losses of a batch in the run's precision; the text is the key of their random numbers."""


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A training run, read-only.

    Attributes:
        folder: of the run.
        backend: is trained.
        config: settings of the loop.
        info: what every checkpoint of the run says about itself; step, epoch and metrics aside.
        train_data, val_data: what it is trained and validated on; `val_data` is None where there is none.
        device: of the network.
        losses: computes losses in the run's precision.
        request_stop: ends the run after this step, with a checkpoint, on all processes; takes the reason.
    """

    folder: Path
    backend: Backend
    config: TrainingConfig
    info: CheckpointInfo
    train_data: SpeechDataset
    val_data: SpeechDataset | None
    device: torch.device
    losses: Losses
    request_stop: Callable[[str], None]
    _steps: StepCounter
    _loader: BatchLoader
    _weights: InferenceWeights

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self._steps.step

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self._steps.total

    @property
    def epoch(self) -> int:
        """Epoch of the next batch."""
        return self._loader.epoch

    @property
    def batches_per_step(self) -> int:
        """Batches of a step on all processes together; the last step of an epoch may have fewer."""
        return self._loader.batches_per_step

    def inference_weights(self) -> AbstractContextManager[Backend]:
        """The backend with the weights of a checkpoint, for synthesis: averaged, merged, in evaluation mode."""
        return self._weights.for_synthesis()
