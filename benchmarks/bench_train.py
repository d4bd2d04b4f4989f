"""Seconds per training step of every backend that learns from a waveform alone, loader and optimiser included."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch
from support import backend_of, write_corpus

from amtts_core.data.dataset import load_dataset
from amtts_core.training.optim import build_optimizer

STEPS, SECONDS, UTTERANCES = 12, 4.0, 12


def main() -> None:
    """Prints median and worst of a few steps on 12 utterances of 4 s."""
    backend, config, _ = backend_of("chatterbox-mel")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_corpus(
            folder, utterances=UTTERANCES, seconds=SECONDS, sample_rate=backend.spec.sample_rate
        )
        dataset = load_dataset(backend, manifest, folder / "features")
        backend.initialize(dataset)
        learner = backend.learner()
        optimizers = {
            phase: build_optimizer(learner.parameters(phase), config.training.optim)
            for phase in learner.phases
        }
        taken = []
        for _ in range(STEPS):
            began = time.perf_counter()
            for loss in learner.losses(dataset.batch(range(len(dataset)))):
                parameters = learner.parameters(loss.phase)
                optimizers[loss.phase].zero_grad(set_to_none=True)
                loss.total.backward(inputs=parameters)
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizers[loss.phase].step()
            taken.append(time.perf_counter() - began)
    median, worst = statistics.median(taken[2:]), max(taken[2:])
    parameters = sum(p.numel() for p in backend.network.parameters()) / 1e6
    print(
        f"chatterbox-mel base ({parameters:.2f} M): {median:.3f} s a step (worst {worst:.3f}) on "
        f"{UTTERANCES} x {SECONDS:g} s of speech, {torch.get_num_threads()} threads: "
        f"{UTTERANCES * SECONDS / median:.0f} s of speech per second"
    )


if __name__ == "__main__":
    main()
