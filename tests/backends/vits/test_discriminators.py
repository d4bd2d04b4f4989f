"""Discriminators on spectrograms, which no published file has, and discriminators that come and go between runs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from tiny_voice import ExampleList, make_corpus, tiny_backend, tiny_config, tiny_examples
from torch.nn import functional
from vits_discriminators import donor_file

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.errors import AmttsError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.nn.discriminators import PeriodDiscriminator, discriminator_loss
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.settings import merged
from amtts_vits.backend import VitsBackend
from amtts_vits.discriminator import ResolutionDiscriminator

RESOLUTIONS = [[64, 16, 32], [128, 32, 128]]


def settings(**discriminators: object) -> object:
    config, _ = tiny_config("vits", model={"discriminator": discriminators})
    return config.model_config_of(VitsBackend.spec)


def with_resolutions(**changes: object) -> VitsBackend:
    torch.manual_seed(7)
    chosen = settings(resolutions=RESOLUTIONS, resolution_channels=4)
    tokenizer = tiny_backend("vits").text_tokenizer
    backend = VitsBackend(chosen.model_copy(update=changes), tokenizer=tokenizer)  # type: ignore[attr-defined]
    backend.initialize(ExampleList([]))
    return backend


def test_a_critic_of_spectrograms_tells_a_tone_from_noise() -> None:
    """Tone and noise of equal power differ in their spectra; the discriminator learns to tell fresh ones apart."""
    torch.manual_seed(0)
    discriminator = ResolutionDiscriminator(64, 16, 64, channels=4)
    optimizer = torch.optim.AdamW(discriminator.parameters(), 5e-3)
    time = torch.arange(1024) / 16.0

    def pair() -> tuple[torch.Tensor, torch.Tensor]:
        tone = 0.5 * torch.sin(2 * torch.pi * time + 6.3 * torch.rand(4, 1, 1))
        return tone, torch.randn(4, 1, 1024) * 0.5**1.5

    for _ in range(25):
        tone, noise = pair()
        loss = (1 - discriminator(tone)[0]).square().mean() + discriminator(noise)[0].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        tone, noise = pair()
        assert float(discriminator(tone)[0].mean() - discriminator(noise)[0].mean()) > 0.3


def test_silence_gives_finite_gradients() -> None:
    discriminator = ResolutionDiscriminator(64, 16, 32, channels=4)
    silence = torch.zeros(1, 1, 256, requires_grad=True)
    discriminator(silence)[0].sum().backward()
    assert silence.grad is not None
    assert bool(torch.isfinite(silence.grad).all())


def test_they_join_the_losses_and_leave_the_other_discriminators_as_they_were() -> None:
    backend = with_resolutions()
    discriminators = backend.network.discriminator
    assert discriminators is not None
    plain = tiny_backend("vits").network.discriminator
    plain.load_state_dict({k: discriminators.state_dict()[k] for k in plain.state_dict()})
    wave = torch.randn(2, 1, 4096) * 0.1
    with torch.no_grad():
        more, fewer = discriminators(wave), plain(wave)
    assert len(more.scores) == len(fewer.scores) + len(RESOLUTIONS)
    assert all(torch.equal(a, b) for a, b in zip(more.scores, fewer.scores, strict=False))
    real, fake = more.halves()
    assert float(discriminator_loss(real, fake)) > float(discriminator_loss(*fewer.halves()))
    learner = backend.learner()
    losses = list(learner.losses(backend.collate(tiny_examples(backend, 2))))
    losses[1].total.backward()
    assert all(p.grad is None for p in learner.parameters("discriminator"))


def test_a_published_file_fills_the_published_discriminators_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, donor = donor_file(tmp_path)
    with caplog.at_level(logging.WARNING):
        mine = with_resolutions(start_discriminator=str(file)).network.discriminator
    assert mine is not None
    for name, tensor in donor.items():
        assert torch.equal(mine.state_dict()[name], tensor), name
    assert "randomly initialized" in caplog.text


def test_a_run_without_discriminators_starts_one_with_them_and_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=3, val_items=1)

    def learn(run: str, start: str = "", **model: object) -> dict[str, torch.Tensor]:
        origin = open_init_weights(tmp_path / start) if start else None
        config, kind = tiny_config(
            "vits", model=merged(dict(origin.model) if origin else {}, model), training={"max_steps": 1}
        )
        train(config, kind, RunOptions(data=corpus, run=tmp_path / run, init=origin, jobs=1))
        return read_checkpoint(tmp_path / run).weights()

    assert not any(name.startswith("discriminator.") for name in learn("simple", mode="simple"))
    with caplog.at_level(logging.WARNING):
        gan = learn("gan", "simple", mode="gan")
    assert any(name.startswith("discriminator.") for name in gan)
    assert "has not; they start fresh" in caplog.text
    with caplog.at_level(logging.WARNING):
        learn("again", "gan", mode="simple")
    assert "this run does not use" in caplog.text


@pytest.mark.parametrize("wrong", [[[64, 0, 32]], [[64, 16, 128]], [[64, 48, 32]], [[16384, 16, 64]]])
def test_resolutions_that_cannot_be_are_refused(wrong: list[list[int]]) -> None:
    with pytest.raises(AmttsError, match="resolution"):
        settings(resolutions=wrong)


@pytest.mark.parametrize("length", [840, 1000])
def test_columns_side_by_side_are_judged_as_apart(length: int) -> None:
    """The wide picture of a CPU against the plain one: scores, feature maps, gradients of weights and waveform."""
    torch.manual_seed(0)
    discriminator = PeriodDiscriminator(7, [4, 8])
    wave = torch.randn(3, 1, length)
    found = []
    for plain in (True, False):
        heard = wave.clone().requires_grad_()
        folded = functional.pad(heard, (0, -length % 7), mode="reflect").unflatten(-1, (-1, 7))
        scores, features = discriminator.score(folded) if plain else discriminator(heard)
        discriminator.zero_grad()
        (scores.square().sum() + sum(maps.abs().mean() for maps in features)).backward()
        assert heard.grad is not None
        gradients = [p.grad.clone() for p in discriminator.parameters() if p.grad is not None]
        found.append([scores, *features, heard.grad, *gradients])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)
