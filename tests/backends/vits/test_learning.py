"""What the learner must never get wrong: whose gradient goes where, what padding does, that text is learnt."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_voice import tiny_backend, tiny_config, tiny_examples
from torch import Tensor

from amtts_core.contract.types import Example
from amtts_vits.backend import VitsBackend
from amtts_vits.generator import stretches
from amtts_vits.learner import recording_of
from amtts_vits.losses import kl_loss


def phase_losses(backend: VitsBackend, examples: list[Example]) -> dict[str, dict[str, Tensor]]:
    with torch.no_grad():
        losses = list(backend.learner().losses(backend.collate(examples)))
    return {loss.phase: {"total": loss.total, **loss.terms} for loss in losses}


def test_the_generators_loss_leaves_no_gradient_in_the_discriminator(
    backend: VitsBackend, examples: list[Example]
) -> None:
    learner = backend.learner()
    backend.network.train()
    stream = learner.losses(backend.collate(examples))
    next(stream)  # the discriminator's phase, whose gradient is not asked for here
    next(stream).total.backward()
    discriminators = learner.parameters("discriminator")
    assert discriminators
    assert all(p.grad is None for p in discriminators)
    assert all(p.requires_grad for p in discriminators), "they are only frozen while the generator learns"


def test_the_generator_learns_against_the_updated_discriminator(
    backend: VitsBackend, examples: list[Example]
) -> None:
    learner, batch = backend.learner(), backend.collate(examples)
    backend.network.eval()

    def adversarial(*, step: bool) -> float:
        stream = learner.losses(batch)
        next(stream)
        if step:
            with torch.no_grad():
                for parameter in learner.parameters("discriminator"):
                    parameter.mul_(2.0)
        return float(next(stream).terms["adversarial"])

    before = adversarial(step=False)
    assert adversarial(step=True) != pytest.approx(before, rel=1e-3)


def test_the_generator_runs_once_a_batch(backend: VitsBackend, examples: list[Example]) -> None:
    learner = backend.learner()
    calls: list[int] = []
    learner.modules["generator"].register_forward_hook(lambda *_: calls.append(1))
    list(learner.losses(backend.collate(examples)))
    assert calls == [1]


def test_a_clip_shorter_than_the_segment_is_padded_and_its_padding_not_judged(backend: VitsBackend) -> None:
    hop = backend.config.mel.hop
    wave = np.random.default_rng(0).standard_normal(9 * hop).astype(np.float32) * 0.1
    example = Example(id="short", tokens=[5, 6], features=backend.features(wave).arrays)
    batch = backend.collate([example])
    assert batch["waveform"].shape[2] == backend.config.segment_frames * hop
    learner = backend.learner()
    passed = learner.modules["generator"](recording_of(batch), learner._draws(recording_of(batch)))
    assert float(passed.fake[0, 0, 9 * hop :].detach().abs().max()) == 0
    assert float(passed.segment_mask.sum()) == 9
    assert all(bool(torch.isfinite(loss.total)) for loss in learner.losses(batch))


def test_stretches_start_where_they_are_told() -> None:
    values = torch.arange(24.0).reshape(2, 1, 12)
    out = stretches(values, torch.tensor([0, 7]), 5)
    assert out[:, 0].tolist() == [[0, 1, 2, 3, 4], [19, 20, 21, 22, 23]]


def test_random_stretches_stay_within_the_recording(backend: VitsBackend, examples: list[Example]) -> None:
    learner, recording = backend.learner(), recording_of(backend.collate(examples))
    last = recording.frame_lengths - backend.config.segment_frames
    starts = torch.stack([learner._pass.draws(recording).starts for _ in range(50)])
    assert bool((starts >= 0).all())
    assert bool((starts <= last.clamp(min=0)).all())
    assert len(starts.unique()) > 10


def test_simple_mode_has_one_phase_and_no_discriminator() -> None:
    config, _ = tiny_config("vits", model={"mode": "simple"})
    settings = config.model_config_of(VitsBackend.spec)
    backend = VitsBackend(settings, tokenizer=tiny_backend("vits").text_tokenizer)
    assert backend.learner().phases == ("generator",)
    assert not any(name.startswith("discriminator") for name in backend.network.state_dict())


def test_text_is_learnt() -> None:
    """With a posterior that tells sounds apart, the prior learns which symbol makes which sound."""
    backend = tiny_backend("vits")
    assert isinstance(backend, VitsBackend)
    examples = tiny_examples(backend, 4)
    generator = backend.network.generator
    with torch.no_grad():
        generator.posterior_encoder.conv_proj.bias[backend.config.flow_size :] = -2.0
    trained = list(generator.text_encoder.parameters())
    optimizer = torch.optim.Adam(trained, 5e-3)
    learner, batch = backend.learner(), backend.collate(examples)
    recording = recording_of(batch)
    for _ in range(60):
        passed = learner._pass(recording, learner._pass.draws(recording))
        optimizer.zero_grad()
        kl_loss(passed).backward(inputs=trained)
        optimizer.step()
    backend.network.eval()
    right = float(phase_losses(backend, examples)["generator"]["kl"])
    random = np.random.default_rng(0)
    shuffled = [dataclasses.replace(e, tokens=random.permutation(e.tokens).tolist()) for e in examples]
    exchanged = [
        dataclasses.replace(e, tokens=other.tokens)
        for e, other in zip(examples, [*examples[1:], examples[0]], strict=True)
    ]
    assert float(phase_losses(backend, shuffled)["generator"]["kl"]) > 1.2 * right
    assert float(phase_losses(backend, exchanged)["generator"]["kl"]) > 1.2 * right


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_alignment_and_comes_near_the_losses(
    backend: VitsBackend, examples: list[Example], precision: torch.dtype
) -> None:
    """Score, splines, spectrograms and losses stay float32, whatever the rest is."""
    backend.network.eval()
    exact = phase_losses(backend, examples)
    with torch.autocast("cpu", dtype=precision):
        rough = phase_losses(backend, examples)
        learner, recording = backend.learner(), recording_of(backend.collate(examples))
        passed = learner._pass(recording, learner._pass.draws(recording, fixed=True))
    assert passed.score.dtype == torch.float32
    for phase, losses in exact.items():
        for name, value in losses.items():
            assert rough[phase][name].dtype == torch.float32, name
            assert float(rough[phase][name]) == pytest.approx(float(value), rel=0.05, abs=0.02), name


def test_gradient_accumulation_is_exact_for_both_optimisers(
    backend: VitsBackend, examples: list[Example]
) -> None:
    """Two batches of one utterance give the gradient of both, with the discriminator's phase first for each."""
    backend.network.eval()
    learner = backend.learner()

    def gradients(batches: list[list[Example]]) -> dict[str, Tensor]:
        backend.network.zero_grad(set_to_none=True)
        streams = [learner.losses(backend.collate(batch)) for batch in batches]
        for phase in learner.phases:
            for stream in streams:
                (next(stream).total / len(streams)).backward(inputs=learner.parameters(phase))
        return {name: p.grad.clone() for name, p in backend.network.named_parameters() if p.grad is not None}

    one = examples[3]
    together, apart = gradients([[one, one]]), gradients([[one], [one]])
    assert set(together) == set(apart)
    for name, gradient in together.items():
        assert float((gradient - apart[name]).norm()) <= 1e-4 * float(gradient.norm()) + 1e-5, name
