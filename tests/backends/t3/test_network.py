"""Packing changes nothing: rows equal rows that are alone, losses count every token, gradients agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_chatterbox.t3.losses import chunked_cross_entropy, speech_targets, stream_losses, text_targets
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.packing import Lengths, Widths, plan_packing

TEXT, SPEECH, PROMPT = [9, 4, 12], [14, 22, 6], [7, 0, 3]
SMALL = PRESETS["tiny"] | {"speech_codes": 60, "speech_rows": 64, "start_speech": 60, "stop_speech": 61}


@pytest.fixture(scope="module")
def network() -> T3:
    torch.manual_seed(3)
    network = T3(T3Config.model_validate(SMALL), num_text_tokens=30).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network


def utterances() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    rows = len(TEXT)
    return {
        "text": torch.randint(0, 30, (rows, max(TEXT)), generator=random),
        "text_lengths": torch.tensor(TEXT),
        "speech": torch.randint(0, 60, (rows, max(SPEECH)), generator=random),
        "speech_lengths": torch.tensor(SPEECH),
        "speaker": torch.rand(rows, 256, generator=random),
        "emotion": torch.tensor([0.5, 1.0, 0.2]),
        "prompt": torch.randint(0, 60, (rows, max(PROMPT)), generator=random),
        "prompt_lengths": torch.tensor(PROMPT),
    }


def alone(batch: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
    for name in ("text", "speech", "prompt"):
        one[name] = one[name][:, : int(one[f"{name}_lengths"][0])]
    return one


def losses(network: T3, batch: dict[str, torch.Tensor], **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    hidden, packing = network(**batch, **options)
    heads = network.text_head.weight, network.speech_head.weight
    text, speech = stream_losses(
        hidden,
        packing,
        heads,
        (batch["text"], batch["text_lengths"]),
        (batch["speech"], batch["speech_lengths"]),
        chunk=5,
    )
    return text.total, speech.total


@pytest.mark.parametrize("row_tokens", [0, 60, 100, 1000])
def test_packed_rows_equal_rows_alone(network: T3, row_tokens: int) -> None:
    batch = utterances()
    with torch.no_grad():
        hidden, packing = network(**batch, row_tokens=row_tokens)
        for row, place in enumerate(packing.places):
            one, _ = network(**alone(batch, row))
            size = one.shape[1]
            end = place.speech + SPEECH[row]
            torch.testing.assert_close(hidden[place.row, end - size : end], one[0], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("row_tokens", [0, 1000])
def test_packed_losses_and_gradients_are_sums_of_those_alone(network: T3, row_tokens: int) -> None:
    batch = utterances()

    def gradients() -> dict[str, torch.Tensor]:
        found = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
        network.zero_grad(set_to_none=True)
        return found

    text, speech = losses(network, batch, row_tokens=row_tokens)
    (text + speech).backward()
    together = gradients()
    singles = [losses(network, alone(batch, row)) for row in range(len(TEXT))]
    torch.testing.assert_close(text, sum(t for t, _ in singles))
    torch.testing.assert_close(speech, sum(s for _, s in singles))
    sum(t + s for t, s in singles).backward()  # type: ignore[union-attr]
    apart = gradients()
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, apart[name], atol=2e-5, rtol=1e-4, msg=name)


def test_padding_between_nothing(network: T3) -> None:
    packing = plan_packing([Lengths(True, 3, 2), Lengths(False, 1, 4)], Widths(5, 3, 4))
    conditioning = torch.arange(10.0).view(2, 5, 1)
    text, speech = 100 + torch.arange(6.0).view(2, 3, 1), 200 + torch.arange(8.0).view(2, 4, 1)
    rows = packing.gather(conditioning, text, speech)[..., 0].tolist()
    assert rows == [[0, 1, 2, 3, 4, 100, 101, 102, 200, 201], [5, 9, 103, 204, 205, 206, 207, 0, 0, 0]]
    assert packing.mask() is None
    shared = plan_packing([Lengths(True, 3, 2), Lengths(False, 1, 4)], Widths(5, 3, 4), row_tokens=20)
    mask = shared.mask()
    assert mask is not None
    assert shared.positions.tolist() == [[*range(10), *range(7)]]
    assert not bool(mask[0, 0, 10:, :10].any())
    assert bool(mask[0, 0, 16, 10:].all())


def test_rows_are_filled_and_never_overfilled() -> None:
    lengths = [Lengths(True, n % 7 + 2, n % 13 + 2) for n in range(40)]
    packing = plan_packing(lengths, Widths(4, 9, 15), row_tokens=50)
    sizes = [4 + length.text + length.speech for length in lengths]
    assert packing.source.shape[1] <= 50
    assert len(packing.source) <= 1.2 * sum(sizes) / 50 + 1
    used = packing.source[packing.block >= 0] if packing.block is not None else torch.tensor([])
    assert len(used) == len(set(used.tolist())) == sum(sizes)


def test_a_longer_utterance_has_a_row_of_its_own() -> None:
    packing = plan_packing([Lengths(True, 30, 40), Lengths(True, 2, 2)], Widths(4, 30, 40), row_tokens=50)
    assert packing.source.shape == (2, 74)


def test_every_token_after_the_start_is_a_target() -> None:
    lengths = [Lengths(True, n, s) for n, s in zip(TEXT, SPEECH, strict=True)]
    packing = plan_packing(lengths, Widths(6, max(TEXT), max(SPEECH)))
    tokens = torch.arange(3)[:, None] * 100 + torch.arange(max(SPEECH))
    for starts in (1, 2):
        where, wanted = speech_targets(packing, tokens, torch.tensor(SPEECH), start_tokens=starts)
        assert wanted.tolist() == [100 * b + t for b in range(3) for t in range(starts, SPEECH[b])]
        assert len(where) == len(set(where.tolist()))
    where, wanted = text_targets(packing, tokens[:, : max(TEXT)], torch.tensor(TEXT))
    assert len(wanted) == sum(TEXT) - 3


def test_chunks_add_up(network: T3) -> None:
    hidden, head = torch.randn(23, 8, requires_grad=True), torch.randn(11, 8, requires_grad=True)
    targets = torch.randint(0, 11, (23,))
    whole = functional.cross_entropy(hidden @ head.t(), targets, reduction="sum")
    for chunk in (1, 7, 23, 100):
        loss = chunked_cross_entropy(hidden, head, targets, chunk=chunk)
        assert loss.count == 23
        torch.testing.assert_close(loss.total, whole)
        torch.testing.assert_close(
            torch.autograd.grad(loss.total, [hidden, head]),
            torch.autograd.grad(whole, [hidden, head], retain_graph=True),
        )
    assert float(chunked_cross_entropy(hidden[:0], head, targets[:0], chunk=4).mean.detach()) == 0


def test_dropped_text_keeps_its_positions(network: T3) -> None:
    tokens = torch.randint(0, 30, (2, 6))
    kept = network.embed_text(tokens, torch.tensor([True, False]))
    torch.testing.assert_close(kept[0], network.embed_text(tokens)[0])
    torch.testing.assert_close(kept[1], network.text_positions.weight[:6])


def test_both_start_tokens_stand_at_position_nothing(network: T3) -> None:
    tokens = torch.tensor([[60, 60, 5, 7]])
    places = network.embed_speech(tokens, start_tokens=2) - network.speech_embedding(tokens)
    torch.testing.assert_close(places[0], network.speech_positions.weight[[0, 0, 1, 2]])


def test_a_prompt_of_any_length_is_heard_at_its_true_length(network: T3) -> None:
    batch = utterances()
    padded = network.embed_conditioning(
        batch["speaker"], batch["emotion"], batch["prompt"], batch["prompt_lengths"]
    )
    for row in (0, 2):
        one = alone(batch, row)
        exact = network.embed_conditioning(one["speaker"], one["emotion"], one["prompt"])
        torch.testing.assert_close(padded[row], exact[0], atol=1e-6, rtol=1e-5)
    assert bool(torch.isfinite(padded).all())


def test_bfloat16_rows_run(network: T3) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        text, speech = losses(network, utterances())
    reference = losses(network, utterances())
    assert float(speech.detach()) == pytest.approx(float(reference[1].detach()), rel=0.02)
    assert float(text.detach()) == pytest.approx(float(reference[0].detach()), rel=0.02)
