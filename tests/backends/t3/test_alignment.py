"""The alignment loss of T3: it sees what the trunk's attention sees, teaches it, and costs nothing where it is off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tiny_t3 import CODES, ToneCodec, build
from tiny_voice import overfit, tiny_examples

from amtts_chatterbox.t3 import backend as module
from amtts_chatterbox.t3.alignment import alignment_layer, attention_map, text_log_shares
from amtts_core.contract.types import SynthesisRequest
from amtts_core.nn.soft_code_targets import noisy_codes


@pytest.fixture(autouse=True)
def _codec(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module._opened.cache_clear()
    monkeypatch.setattr(module, "open_codec", lambda name, weights, num_codebooks: ToneCodec())
    yield
    module._opened.cache_clear()


@pytest.mark.parametrize(("row_tokens", "starts"), [(0, 1), (400, 2)])
def test_its_shares_are_those_of_the_attention(row_tokens: int, starts: int) -> None:
    backend = build(row_tokens=row_tokens, start_tokens=starts)
    network = backend.network.eval()
    batch = backend.collate(tiny_examples(backend, 3, letters=[4, 9, 6]))
    entering: list[torch.Tensor] = []
    none = torch.zeros(3, 1, dtype=torch.long)
    with torch.no_grad():
        _, packing = network(
            *(
                batch[name]
                for name in ("tokens", "token_lengths", "codes", "code_lengths", "speaker_vectors")
            ),
            torch.full((3,), backend.config.emotion),
            none,
            none[:, 0],
            start_tokens=starts,
            row_tokens=row_tokens,
            watch=lambda number, hidden: (
                entering.append(hidden) if number == alignment_layer(backend.config.layers) else None
            ),
        )
        codes = batch["codes"].shape[1] - starts
        shares = text_log_shares(network, entering[0], packing, batch["tokens"].shape[1], codes, head=1)
    for row in range(3):
        text = batch["tokens"][row, : batch["token_lengths"][row]]
        speech = batch["codes"][row, : batch["code_lengths"][row]]
        wanted = attention_map(network, text, speech, batch["speaker_vectors"][row], heads=[1])
        predicts = wanted[starts - 1 : -1]  # the end token predicts nothing
        found = shares[row, : len(predicts), : len(text)].exp()
        assert torch.allclose(found, predicts, atol=1e-5)


def test_it_teaches_a_head_to_walk_through_the_text() -> None:
    found = {}
    for weight in (0.0, 1.0):
        backend = build(alignment_weight=weight, text_dropout=0.2)
        examples = tiny_examples(backend, 3)
        overfit(backend, examples, 80)
        batch = backend.collate(examples)
        found[weight] = attention_map(
            backend.network.eval(),
            batch["tokens"][0, : batch["token_lengths"][0]],
            batch["codes"][0, : batch["code_lengths"][0]],
            batch["speaker_vectors"][0],
            backend.network.voices.prompts[0, : int(backend.network.voices.prompt_lengths[0])].tolist(),
            heads=[0],
        )[:-1]
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


def test_noise_changes_what_is_heard_and_never_what_is_asked() -> None:
    backend = build(code_noise=0.5)
    batch = backend.collate(tiny_examples(backend, 4))
    before = batch["codes"].clone()
    heard = noisy_codes(before, CODES, backend.config.code_noise)
    assert torch.equal(batch["codes"], before)
    codes = before < CODES
    assert torch.equal(heard[~codes], before[~codes])
    assert 0.1 < float((heard != before)[codes].float().mean()) < 0.9
    assert int(heard[codes].max()) < CODES


def test_attention_of_a_request_is_shown() -> None:
    backend = build(sampling={"temperature": 0, "retries": 0})
    request = SynthesisRequest(tokens=[5, 6, 7, 8], speed=1.0, seed=1)
    shares = backend.attention(request)
    (wave,) = backend.synthesize([request])
    codes = len(wave) / module.SAMPLE_RATE * ToneCodec.frame_rate
    assert shares.shape == (6, round(codes) + 1 + backend.config.start_tokens)
    assert 0 <= float(shares.min()) <= float(shares.sum(0).max()) <= 1 + 1e-5
