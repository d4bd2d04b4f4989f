"""VITS on one thread, side by side in one run: our speech and transformers', our training step and the published one.

CPU seconds, the least of a few runs: other work on the machine does not count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from support import SENTENCES, backend_of
from vits_published import published_step, stock_of

from amtts_core.contract.types import Example, SynthesisRequest
from amtts_core.nn.discriminators import discriminator_loss
from amtts_core.training.optim import build_optimizer
from amtts_vits.config import DiscriminatorSettings
from amtts_vits.inference import decode_in_chunks, latents
from amtts_vits.learner import recording_of
from amtts_vits.losses import generator_losses
from amtts_vits.weights import fold_norm

FRAMES_A_SYMBOL = 3.0
"""An untrained network speaks at no sensible pace; blanks count as symbols."""
BATCH, SECONDS, ROUNDS = 4, 3.2, 3


def main() -> None:
    """Prints real-time factors and seconds per step for the presets named on the command line."""
    torch.set_num_threads(1)
    for preset in sys.argv[1:] or ["small"]:
        speech(preset)
        training(preset)
    if len(sys.argv) > 1 and sys.argv[1] == "small":
        training("small", discriminators=True)


def least(work: Callable[[], Any], runs: int) -> float:
    """CPU seconds of the fastest run, the first left out."""
    taken = []
    for _ in range(runs + 1):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken[1:])


def paced(backend: Any) -> None:
    """Sets the duration predictor's mean to `FRAMES_A_SYMBOL`."""
    with torch.no_grad():
        affine = backend.network.generator.duration_predictor.flows[0]
        affine.translate.fill_(-float(np.log(FRAMES_A_SYMBOL)) * 1.0)
        affine.log_scale.fill_(1.5)


def speech(preset: str) -> None:
    """Real-time factor against transformers with and without folded weight norm, and the time to first sound."""
    backend, _, tokenizer = backend_of("vits", preset)
    assert hasattr(backend, "folded")
    paced(backend)
    request = SynthesisRequest(tokens=tokenizer.encode(" ".join(SENTENCES)))
    folded = backend.folded()
    seconds = len(backend.synthesize([request])[0]) / backend.sample_rate
    tokens = torch.tensor([backend.utterance(request).tokens])

    def transformers(model: Any) -> float:
        model.noise_scale_duration = 0.0
        with torch.inference_mode():
            made = model(tokens).waveform.shape[1] / backend.sample_rate
            return least(lambda: model(tokens), 3) / made

    ours = least(lambda: backend.synthesize([request]), 3) / seconds
    stock = stock_of(backend.network.generator).eval()
    plain = transformers(stock)
    fold_norm(stock)

    def first() -> None:
        latent = latents(folded, [backend.utterance(request)])[0]
        next(iter(decode_in_chunks(folded, latent.frames, latent.speaker)))

    print(
        f"{preset}: real-time factor {ours:.4f} ({seconds:.1f} s of speech), transformers with weight norm "
        f"{plain:.4f}, folded {transformers(stock):.4f}; first sound after {1000 * least(first, 3):.0f} ms"
    )


def training(preset: str, *, discriminators: bool = False) -> None:
    """Seconds per step: ours, and the published order of work at the same maths and weights."""
    backend, config, tokenizer = backend_of("vits", preset)
    if discriminators:
        settings = backend.config.model_copy(update={"discriminator": DiscriminatorSettings()})
        backend = type(backend)(settings, tokenizer=tokenizer)
        preset += " with the published discriminator (46.7 M)"
    random = np.random.default_rng(0)
    examples = []
    for number in range(BATCH):
        wave = random.normal(0, 0.1, round(SECONDS * backend.sample_rate)).astype(np.float32)
        features = dict(backend.features(wave).arrays)
        examples.append(
            Example(id=str(number), tokens=tokenizer.encode(SENTENCES[number]), features=features)
        )
    batch = backend.collate(examples)
    learner: Any = backend.learner()
    optimizers = {p: build_optimizer(learner.parameters(p), config.training.optim) for p in learner.phases}

    recording = recording_of(batch)
    draws = learner._draws(recording)
    network, stock = backend.network, stock_of(backend.network.generator)
    optimizers["published"] = build_optimizer(list(stock.parameters()), config.training.optim)
    _same_losses(learner, recording, draws, backend, stock)

    def ours(precision: torch.dtype | None = None) -> None:
        stream = learner.losses(batch)
        for phase in learner.phases:
            with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
                loss = next(stream)
            optimizers[phase].zero_grad(set_to_none=True)
            loss.total.backward(inputs=learner.parameters(phase))
            optimizers[phase].step()

    def published() -> None:
        steps = published_step(
            stock, network.discriminator, recording, learner._draws(recording), backend.config
        )
        for loss, phase in steps:
            stepped = optimizers["published" if phase == "generator" else phase]
            stepped.zero_grad(set_to_none=True)
            loss.backward()
            stepped.step()

    own, theirs, half = [], [], []
    for _ in range(ROUNDS):  # taken in turns: a busy machine slows all alike
        own.append(least(ours, 1))
        theirs.append(least(published, 1))
        half.append(least(lambda: ours(torch.bfloat16), 1))
    fast, slow, low = min(own), min(theirs), min(half)
    print(
        f"{preset}: a step of {BATCH} x {SECONDS:g} s: published {slow:.2f} s, ours {fast:.2f} s "
        f"({slow / fast:.2f} x), with bf16 {low:.2f} s ({slow / low:.2f} x)"
    )


def _same_losses(learner: Any, recording: Any, draws: Any, backend: Any, stock: Any) -> None:
    """Stops where both steps do not compute the same losses of the same draws."""
    network = backend.network.eval()
    with torch.no_grad():
        passed = learner.modules["generator"](recording, draws)
        discriminators = network.discriminator
        real, fake = discriminators(passed.real), discriminators(passed.fake)
        total, _ = generator_losses(passed, backend.config.mel, backend.config.loss, real=real, fake=fake)
        ours = [float(discriminator_loss(real, fake)), float(total)]
        steps = published_step(stock.eval(), discriminators, recording, draws, backend.config)
        theirs = [float(loss) for loss, _ in steps]
    network.train()
    stock.train()
    if not np.allclose(ours, theirs, rtol=1e-4):
        raise SystemExit(f"the losses differ: ours {ours}, published {theirs}")


if __name__ == "__main__":
    main()
