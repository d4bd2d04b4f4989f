"""`--dry-run`: one of everything that a run does, on its longest utterances, in a temporary folder."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.errors import AmttsError, ManifestError
from amtts_core.memory import peak_memory
from amtts_core.run.datasets import training_manifest
from amtts_core.run.options import Progress, RunOptions
from amtts_core.run.run import train
from amtts_core.training.callbacks.base import Callback, StepReport, TrainingOutcome
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 2
"""The first one pays for what is allocated once; the second is the measure."""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Time and memory of one of everything; times in seconds, `memory` in bytes.

    Attributes:
        utterances: how many were used, the longest ones.
        memory: peak of the process, or of the GPU where there is one.
        on_gpu: which of the two.
        total_steps: of the whole run.
        estimate: seconds of the whole run, features aside.
    """

    utterances: int
    memory: int
    on_gpu: bool
    step: float
    validation: float
    sample: float
    checkpoint: float
    checkpoint_bytes: int
    total_steps: int
    estimate: float
    metrics: dict[str, float]


def dry_run(
    config: RunConfig,
    backend_class: type[Backend],
    options: RunOptions,
    *,
    on_progress: Progress | None = None,
) -> DryRun:
    """Computes features, makes two steps, validates, synthesizes and saves; leaves nothing behind.

    Args:
        config: resolved settings of the run to be.
        backend_class: the class of `config.backend`.
        options: of the run to be; its folder is not touched.
        on_progress: called with the progress of feature computation.

    Raises:
        AmttsError: anything the user can mend, as the run itself would raise it.
    """
    data = options.data
    manifest = training_manifest(data)
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory(prefix="amtts-dry-run-") as place:
        folder = Path(place)
        short = replace(
            options, run=folder / "run", select=partial(_longest, count=config.data.max_utterances)
        )
        try:
            train(_short(config, folder), backend_class, short, callbacks=[watch], on_progress=on_progress)
            written = sum(p.stat().st_size for p in (folder / "run/checkpoints").rglob("*") if p.is_file())
        except AmttsError as fault:
            raise type(fault)(f"dry run: {fault.message}", remedy=fault.remedy) from None
    gpu = torch.cuda.is_available()
    memory = torch.cuda.max_memory_allocated() if gpu else peak_memory()
    steps = _total_steps(config, manifest)
    return DryRun(
        utterances=watch.utterances,
        memory=memory,
        on_gpu=gpu,
        step=watch.step,
        validation=watch.validation,
        sample=watch.sample,
        checkpoint=watch.checkpoint,
        checkpoint_bytes=written,
        total_steps=steps,
        estimate=_estimate(config, data, watch, steps),
        metrics=watch.metrics,
    )


def _longest(utterances: list[Utterance], *, count: int) -> list[Utterance]:
    return sorted(utterances, key=lambda utterance: -utterance.duration)[:count]


def _short(config: RunConfig, place: Path) -> RunConfig:
    """The same run with two steps, and one validation, checkpoint and round of samples."""
    training = config.training
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"cache": str(place / "features"), "max_samples": 0}),
            "training": training.model_copy(
                update={
                    "max_steps": STEPS,
                    "max_epochs": 0,
                    "validate_every": STEPS,
                    "save_every": STEPS,
                    "log_every": 1,
                    # beyond the end: samples are synthesized at the end then, after the checkpoint
                    "sample_every": STEPS + 1 if training.sample_every else 0,
                    "patience": 0,
                    "tensorboard": False,
                }
            ),
        }
    )


class _Stopwatch(Callback):
    """Times each part."""

    def __init__(self) -> None:
        self.step = self.validation = self.sample = self.checkpoint = 0.0
        self.utterances, self.val_seconds = 0, 0.0
        self.metrics: dict[str, float] = {}
        self._batches_per_step = 1
        self._at = 0.0

    def _lap(self) -> float:
        now = time.monotonic()
        took, self._at = now - self._at, now
        return took

    def started(self, state: RunState) -> None:
        self._batches_per_step = state.batches_per_step
        self.utterances = len(state.train_data)
        self.val_seconds = state.val_data.seconds() if state.val_data else 0.0
        self._lap()

    def stepped(self, report: StepReport) -> None:
        # few utterances may be fewer batches than a whole step has
        self.step = self._lap() * self._batches_per_step / max(1, report.batches)

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        self.sample += self._lap()

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        self.validation, self.metrics = self._lap(), metrics

    def saved(self, step: int, folder: Path) -> None:
        self.checkpoint = self._lap()

    def finished(self, outcome: TrainingOutcome) -> None:
        """Nothing more is measured."""


def _seconds(manifest: Path, most: int) -> float:
    faults: list[ManifestError] = []
    rows: list[Utterance] = list(read_manifest(manifest, bad_lines=faults))
    return sum(row.duration for row in rows[: most or None])


def _total_steps(config: RunConfig, manifest: Path) -> int:
    """Steps of the whole run; those of an epoch follow from the seconds of the corpus."""
    training, data = config.training, config.data
    if not training.max_epochs:
        return training.max_steps
    seconds = _seconds(manifest, data.overfit or data.max_samples)
    epoch = math.ceil(math.ceil(seconds / data.batch_seconds) / training.accumulate)
    return min(training.max_steps or sys.maxsize, training.max_epochs * epoch)


def _estimate(config: RunConfig, data: Path, watch: _Stopwatch, steps: int) -> float:
    """Seconds of the whole run. A step counts as a full batch, so this is rather too much than too little."""
    training = config.training
    seconds = steps * watch.step + watch.checkpoint * math.ceil(steps / training.save_every)
    if watch.val_seconds:
        whole = watch.val_seconds if config.data.overfit else _seconds(data / "val.jsonl", 0)
        seconds += watch.validation * whole / watch.val_seconds * math.ceil(steps / training.validate_every)
    if training.sample_every:
        seconds += watch.sample * math.ceil(steps / training.sample_every)
    return seconds
