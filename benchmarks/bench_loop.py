"""Steps a second of the trainer against a bare PyTorch loop over the same batches, by turns in one process.

The bare loop does what a step cannot do without: collate, forward, backward, clip, step. The trainer besides watches
for bad losses, keeps the sample ledger, listens to signals and the control file, and logs every 10 steps. Processor
time is told besides: it is not changed by what else the machine does.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from support import backend_of, write_corpus

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.config.sections import DataConfig, TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.data.dataset import SpeechDataset, load_dataset
from amtts_core.data.sampler import BucketSampler
from amtts_core.training.callbacks.base import Callback, StepReport
from amtts_core.training.callbacks.jsonl import JsonlLogger
from amtts_core.training.optim import build_optimizer
from amtts_core.training.trainer import Trainer

STEPS, ROUNDS, UTTERANCES, BATCH, SECONDS = 12, 4, 48, 4, 3.0


Moment = tuple[float, float]
"""Seconds on the wall and of the processor, all threads together."""


def now() -> Moment:
    """The present moment."""
    return time.perf_counter(), time.process_time()


class Stamps(Callback):
    """When every step ended."""

    def __init__(self) -> None:
        self.times: list[Moment] = []

    def stepped(self, report: StepReport) -> None:
        self.times.append(now())


def fresh() -> tuple[Backend, Any]:
    """The same untrained network each time."""
    torch.manual_seed(0)
    backend, config, _ = backend_of("chatterbox-mel")
    return backend, config


def bare(dataset: SpeechDataset, training: TrainingConfig, data: DataConfig) -> list[Moment]:
    """Seconds of each step of a loop written out."""
    learner = dataset.backend.learner()
    (phase,) = learner.phases
    parameters = learner.parameters(phase)
    optimizer = build_optimizer(parameters, training.optim)
    dataset.backend.network.train()
    sampler = BucketSampler(
        [u.duration for u in dataset.utterances],
        batch_seconds=data.batch_seconds,
        max_utterances=BATCH,
        seed=training.seed,
    )
    times = []
    for indices in sampler.epoch(0)[:STEPS]:
        for loss in learner.losses(dataset.batch(indices)):
            loss.total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(now())
    return differences(times)


def trained(dataset: SpeechDataset, training: TrainingConfig, data: DataConfig, run: Path) -> list[Moment]:
    """Seconds of each step of the trainer."""
    stamps, spec = Stamps(), dataset.backend.spec
    info = CheckpointInfo(backend=spec.name, backend_config={}, sample_rate=spec.sample_rate)
    Trainer(
        dataset.backend,
        train_data=dataset,
        val_data=None,
        data=data,
        training=training,
        run=run,
        info=info,
        callbacks=[JsonlLogger(run / "metrics.jsonl"), stamps],
    ).fit()
    return differences(stamps.times)


def differences(times: list[Moment]) -> list[Moment]:
    """Time from each step to the next, the first left out."""
    pairs = zip(times[1:], times[2:], strict=False)
    return [(after[0] - before[0], after[1] - before[1]) for before, after in pairs]


def main() -> None:
    """Prints both speeds and their ratio."""
    bare_times: list[Moment] = []
    trained_times: list[Moment] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backend, config = fresh()
        rate = backend.spec.sample_rate
        manifest = write_corpus(folder, utterances=UTTERANCES, seconds=SECONDS, sample_rate=rate)
        training = config.training.model_copy(
            update={"max_steps": STEPS, "save_every": 10**6, "sample_every": 0, "log_every": 10}
        )
        data = config.data.model_copy(update={"batch_seconds": 1e6, "max_utterances": BATCH})
        for number in range(ROUNDS):
            for kind in ("bare", "trainer")[:: 1 if number % 2 == 0 else -1]:
                backend, _ = fresh()
                dataset = load_dataset(backend, manifest, folder / "features")
                if kind == "bare":
                    bare_times += bare(dataset, training, data)
                else:
                    trained_times += trained(dataset, training, data, folder / f"run-{number}")
    slow, fast = (statistics.median(wall for wall, _ in times) for times in (trained_times, bare_times))
    busy, lean = (statistics.median(cpu for _, cpu in times) for times in (trained_times, bare_times))
    print(
        f"chatterbox-mel base, {BATCH} x {SECONDS:g} s a step, {torch.get_num_threads()} threads, median of "
        f"{len(bare_times)} steps each: bare loop {1 / fast:.2f} steps/s, trainer {1 / slow:.2f} steps/s "
        f"({100 * fast / slow:.1f} %); processor time {lean:.3f} s and {busy:.3f} s a step ({100 * lean / busy:.1f} %)"
    )


if __name__ == "__main__":
    main()
