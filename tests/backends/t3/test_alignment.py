"""The alignment loss of T3: it reads the layer's own attention, teaches it, and costs nothing when off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny_t3 import CODES, ToneCodec, build, tone_codec
from tiny_voice import overfit, tiny_examples
from torch import Tensor
from torch.nn import functional

from amtts_chatterbox.t3.backend import SAMPLE_RATE, ChatterboxT3Backend
from amtts_chatterbox.t3.transformer import frequencies, rotation
from amtts_core.contract.types import SynthesisRequest
from amtts_core.speech_lm.attention import alignment_layer
from amtts_core.speech_lm.learner import attention_of
from amtts_core.speech_lm.step_model import rotate


@pytest.fixture(autouse=True)
def _codec() -> Iterator[None]:
    with tone_codec():
        yield


def attention_probs(backend: ChatterboxT3Backend, batch: dict[str, Any]) -> tuple[Tensor, Any]:
    """(B, H, S, N) of the alignment layer, and what the learner made of the batch."""
    network, layer = backend.network.eval(), alignment_layer(backend.config.layers)
    found = backend.learner().prepare(batch)
    with torch.no_grad():
        states = network(**found.arguments, tap=layer)
    widths = found.text_targets.shape[1], found.targets.shape[1]
    with torch.no_grad():
        return attention_of(network, states, widths, layer).exp(), states


@pytest.mark.parametrize(("row_tokens", "starts"), [(0, 1), (400, 2)])
def test_its_attention_is_that_of_the_layer(row_tokens: int, starts: int) -> None:
    """Against attention weights computed from the layer's own fused product, one item at a time."""
    backend = build(row_tokens=row_tokens, start_tokens=starts)
    batch = backend.collate(tiny_examples(backend, 3, letters=[4, 9, 6]))
    together, _ = attention_probs(backend, batch)
    config = backend.config
    for item in range(3):
        _, states = attention_probs(backend, {name: value[item : item + 1] for name, value in batch.items()})
        block = backend.network.transformer.layers[alignment_layer(config.layers)]
        fused = functional.linear(block.attention_norm(states.tapped[0]), block.attention.qkv.weight)
        query, key, _ = fused.unflatten(-1, (3, config.heads, -1)).permute(1, 2, 0, 3)
        turns = rotation(torch.arange(len(fused)), frequencies(config.rope, config.head_dim))
        scores = rotate(query, *turns) @ rotate(key, *turns).transpose(1, 2) * config.head_dim**-0.5
        wanted = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf).softmax(-1)
        text, speech = (int(states.packing.begins[0, segment]) for segment in backend.network.segments)
        letters, codes = int(batch["token_lengths"][item]), int(batch["input_lengths"][item])
        wanted = wanted[:, speech : speech + codes, text : text + letters]
        torch.testing.assert_close(together[item, :, :codes, :letters], wanted, atol=1e-5, rtol=0)


def test_it_teaches_a_head_to_walk_through_the_text() -> None:
    found = {}
    for weight in (0.0, 1.0):
        backend = build(alignment_weight=weight, text_dropout=0.2)
        examples = tiny_examples(backend, 3)
        overfit(backend, examples, 80)
        batch = backend.collate(examples)
        probs, _ = attention_probs(backend, batch)
        found[weight] = probs[0, 0, : int(batch["input_lengths"][0]), : int(batch["token_lengths"][0])]
    places = found[1.0].argmax(1)
    # Of a walk from the first symbol to the last, most steps go nowhere or one further.
    steps = places.diff()
    assert float(((steps >= 0) & (steps <= 1)).float().mean()) > 0.9
    assert float(found[1.0].sum(1).mean()) > 0.7 > float(found[0.0].sum(1).mean()) - 0.2


def test_without_weight_nothing_is_computed_and_nothing_changes() -> None:
    off, on = build(), build(alignment_weight=0.5)
    batch = off.collate(tiny_examples(off, 2))
    losses = []
    for backend in (off, on):
        backend.network.eval()
        with torch.no_grad():
            losses.append(next(backend.learner().losses(batch)))
    assert "alignment" not in losses[0].terms
    assert torch.equal(losses[0].terms["speech"], losses[1].terms["speech"])
    added = 0.5 * losses[1].terms["alignment"]
    assert float(losses[1].total) == pytest.approx(float(losses[0].total + added), rel=1e-5)


def test_noise_changes_the_inputs_and_never_the_targets() -> None:
    backend = build(code_noise=0.5)
    learner, batch = backend.learner(), backend.collate(tiny_examples(backend, 4))
    before, targets = batch["inputs"].clone(), batch["targets"].clone()
    backend.network.eval()
    assert torch.equal(learner.prepare(batch).arguments["inputs"], before)
    backend.network.train()
    noisy = learner.prepare(batch).arguments["inputs"]
    assert torch.equal(batch["inputs"], before)
    assert torch.equal(batch["targets"], targets)
    codes = before < CODES
    assert torch.equal(noisy[~codes], before[~codes])
    assert 0.1 < float((noisy != before)[codes].float().mean()) < 0.9
    assert int(noisy[codes].max()) < CODES


def test_attention_of_a_request_is_shown() -> None:
    backend = build(sampling={"temperature": 0, "retries": 0})
    request = SynthesisRequest(tokens=[5, 6, 7, 8], speed=1.0, seed=1)
    probs = backend.attention(request)
    (wave,) = backend.synthesize([request])
    codes = len(wave) / SAMPLE_RATE * ToneCodec.frame_rate
    assert probs.shape == (6, round(codes) + backend.config.start_tokens)
    assert 0 <= float(probs.min()) <= float(probs.sum(0).max()) <= 1 + 1e-5
