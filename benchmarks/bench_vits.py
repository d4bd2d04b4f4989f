"""VITS on one thread, side by side in one run: our speech and transformers', our training step and the published order.

CPU seconds, the least of a few runs: other work on the machine does not count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from support import SENTENCES, backend_of

from amtts_core.adversarial import discriminator_loss
from amtts_core.backend import Example, SynthesisRequest
from amtts_core.training.optim import build_optimizer
from amtts_vits.config import DiscriminatorSettings
from amtts_vits.inference import decode_in_chunks, latents
from amtts_vits.learner import recording_of
from amtts_vits.losses import generator_losses

FRAMES_A_SYMBOL = 3.0
"""An untrained network speaks at no sensible pace; blanks count as symbols."""
BATCH, SECONDS = 4, 3.2


def main() -> None:
    """Prints real-time factors and seconds per step for the presets named on the command line."""
    torch.set_num_threads(1)
    for preset in sys.argv[1:] or ["small"]:
        speech(preset)
        training(preset)
    if len(sys.argv) > 1 and sys.argv[1] == "small":
        training("small", critics=True)


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
    seconds = len(backend.synthesize([request])[0]) / backend.spec.sample_rate
    tokens = torch.tensor([backend.utterance(request).tokens])
    folded.noise_scale_duration = 0.0

    def transformers(model: Any) -> float:
        with torch.inference_mode():
            made = model(tokens).waveform.shape[1] / backend.spec.sample_rate
            return least(lambda: model(tokens), 3) / made

    ours = least(lambda: backend.synthesize([request]), 3) / seconds
    backend.network.eval()
    plain = transformers(backend.network.generator)

    def first() -> None:
        latent = latents(folded, [backend.utterance(request)])[0]
        next(iter(decode_in_chunks(folded, latent.frames, latent.speaker)))

    print(
        f"{preset}: real-time factor {ours:.4f} ({seconds:.1f} s of speech), transformers with weight norm "
        f"{plain:.4f}, folded {transformers(folded):.4f}; first sound after {1000 * least(first, 3):.0f} ms"
    )


def training(preset: str, *, critics: bool = False) -> None:
    """Seconds per step: ours, and the published order of work at the same maths and weights."""
    backend, config, tokenizer = backend_of("vits", preset)
    if critics:
        settings = backend.config.model_copy(update={"discriminator": DiscriminatorSettings()})
        backend = type(backend).build(settings, tokenizer=tokenizer)
        preset += " with the published discriminator (46.7 M)"
    random = np.random.default_rng(0)
    examples = []
    for number in range(BATCH):
        wave = random.normal(0, 0.1, round(SECONDS * backend.spec.sample_rate)).astype(np.float32)
        features = dict(backend.features(backend.config, wave).arrays)
        examples.append(
            Example(id=str(number), tokens=tokenizer.encode(SENTENCES[number]), features=features)
        )
    batch = backend.collate(examples)
    learner: Any = backend.learner()
    optimizers = {p: build_optimizer(learner.parameters(p), config.training.optim) for p in learner.phases}

    def ours() -> None:
        for loss in learner.losses(batch):
            parameters = learner.parameters(loss.phase)
            optimizers[loss.phase].zero_grad(set_to_none=True)
            loss.total.backward(inputs=parameters)
            optimizers[loss.phase].step()

    def published() -> None:
        for loss, phase in _published_order(backend, learner, batch):
            optimizers[phase].zero_grad(set_to_none=True)
            loss.backward()
            optimizers[phase].step()

    own, theirs = least(ours, 3), least(published, 3)
    print(
        f"{preset}: {own:.2f} s a step of {BATCH} x {SECONDS:g} s; published order {theirs:.2f} s, {theirs / own:.2f} x"
    )


def _published_order(backend: Any, learner: Any, batch: Any) -> Iterator[tuple[torch.Tensor, str]]:
    """Real and fake judged apart, the discriminator's gradients made and thrown away in the generator's step."""
    recording, critics = recording_of(batch), backend.network.discriminator
    passed = learner.modules["generator"](recording, learner._draws(recording))
    yield discriminator_loss(critics(passed.real), critics(passed.fake.detach())), "discriminator"
    settings = backend.config
    total, _ = generator_losses(
        passed, settings.mel, settings.loss, real=critics(passed.real), fake=critics(passed.fake)
    )
    yield total, "generator"


if __name__ == "__main__":
    main()
