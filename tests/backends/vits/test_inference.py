"""Speech: alone as in company, piece by piece as in one go, as fast as asked, and equal to transformers'."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_voice import tiny_backend, tiny_config, tiny_examples
from vits_bundle import stock_of

from amtts_core.contract.types import SynthesisRequest
from amtts_vits.backend import VitsBackend
from amtts_vits.inference import Utterance, decode, decode_in_chunks, latents, speak
from amtts_vits.spline import spline

LONG = [4, 9, 7, 30, 8, 22, 11, 5, 6, 14, 40, 12, 19, 33, 21, 10, 4, 5, 16, 9]


def test_equal_to_transformers_without_noise(backend: VitsBackend) -> None:
    model = backend.folded()
    stock = stock_of(backend.network.generator)
    stock.noise_scale = stock.noise_scale_duration = 0.0
    ids = [0, 5, 0, 9, 0, 30, 0, 8, 0]
    with torch.no_grad():
        theirs = stock(torch.tensor([ids])).waveform[0]
    mine = speak(model, [Utterance(tokens=ids, noise_scale=0.0, noise_scale_duration=0.0)])[0].waveform
    assert mine.shape == theirs.shape
    assert float((mine - theirs).abs().max()) < 1e-6


def test_company_changes_nothing_whatever_the_noise(backend: VitsBackend) -> None:
    requests = [
        SynthesisRequest(tokens=LONG, seed=1),
        SynthesisRequest(tokens=LONG[:5], seed=2, speed=1.3),
        SynthesisRequest(tokens=LONG[:11], seed=3, speed=0.7),
    ]
    for request, together in zip(requests, backend.synthesize(requests), strict=True):
        alone = backend.synthesize([request])[0]
        assert alone.shape == together.shape
        assert float(np.abs(alone - together).max()) < 1e-5


def test_the_seed_varies_and_repeats(backend: VitsBackend) -> None:
    first, again, other = (
        backend.synthesize([SynthesisRequest(tokens=LONG, seed=seed)])[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or not np.allclose(first, other)


@pytest.mark.parametrize("speed", [0.5, 1.7, 4.0])
def test_the_pace_is_exact(backend: VitsBackend, speed: float) -> None:
    hop = backend.config.mel.hop
    normal = backend.synthesize([SynthesisRequest(tokens=LONG)])[0]
    changed = backend.synthesize([SynthesisRequest(tokens=LONG, speed=speed)])[0]
    assert len(changed) / hop == pytest.approx(len(normal) / hop / speed, abs=1)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_chunks_join_to_the_whole(preset: str) -> None:
    config, _ = tiny_config("vits")
    settings = VitsBackend.spec.config.model_validate(VitsBackend.spec.presets[preset])
    assert config
    tokenizer = tiny_backend("vits").text_tokenizer
    model = VitsBackend(settings, tokenizer=tokenizer).folded()
    frames = torch.randn(settings.flow_size, 131, generator=torch.Generator().manual_seed(0))
    whole = decode(model, frames, None)
    pieces = list(decode_in_chunks(model, frames, None, first=8, largest=32))
    assert len(pieces) > 4
    assert float((torch.cat(pieces) - whole).abs().max()) < 1e-5


def test_streaming_says_what_synthesis_says(backend: VitsBackend) -> None:
    request = SynthesisRequest(tokens=LONG, seed=4)
    pieces = list(backend.stream(request))
    np.testing.assert_allclose(np.concatenate(pieces), backend.synthesize([request])[0], atol=1e-5)


def test_the_folded_copy_follows_the_weights(backend: VitsBackend) -> None:
    request = SynthesisRequest(tokens=LONG)
    kept = backend.folded()
    assert backend.folded() is kept
    before = backend.synthesize([request])[0]
    with torch.no_grad():
        backend.network.generator.decoder.conv_post.weight.mul_(0.5)
    assert backend.folded() is not kept
    assert float(np.abs(backend.synthesize([request])[0]).max()) < float(np.abs(before).max())


def test_training_goes_on_after_speaking(backend: VitsBackend) -> None:
    """Weight norm is a property of a layer's class; folding a copy must not take it from the network in training."""
    names = set(backend.network.state_dict())
    backend.synthesize([SynthesisRequest(tokens=LONG)])
    losses = list(backend.learner().losses(backend.collate(tiny_examples(backend, 2))))
    assert len(losses) == 2
    assert set(backend.network.state_dict()) == names


def test_latents_have_no_frame_beyond_their_length(backend: VitsBackend) -> None:
    found = latents(backend.folded(), [Utterance(tokens=[0, 5, 0]), Utterance(tokens=[0, *LONG, 0])])
    assert found[0].frames.shape[1] < found[1].frames.shape[1]


def test_a_spline_comes_back_and_its_slope_is_its_derivative() -> None:
    random = torch.Generator().manual_seed(0)
    values = (torch.randn(200, generator=random, dtype=torch.float64) * 4).float().requires_grad_()
    shape = [torch.randn(200, size, generator=random) for size in (10, 10, 9)]
    moved, log_slope = spline(values, *shape, tail=5.0)
    (slope,) = torch.autograd.grad(moved.sum(), values)
    values, moved, log_slope = values.detach(), moved.detach(), log_slope.detach()
    back, log_back = spline(moved, *shape, tail=5.0, inverse=True)
    assert float((back - values).abs().max()) < 1e-4
    assert float((log_slope + log_back).abs().max()) < 1e-3
    assert torch.allclose(slope.log(), log_slope, atol=1e-3)
    outside = values.abs() > 5
    assert bool(outside.any())
    assert torch.equal(moved[outside], values[outside])
