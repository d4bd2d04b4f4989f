"""Packing changes nothing: rows equal rows that are alone, losses count every token, gradients agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_chatterbox.t3.network import T3
from amtts_core.speech_lm.losses import next_tokens, token_loss

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
        "inputs": torch.randint(0, 60, (rows, max(SPEECH), 1), generator=random),
        "input_lengths": torch.tensor(SPEECH),
        "speaker": torch.rand(rows, 256, generator=random),
        "emotion": torch.tensor([0.5, 1.0, 0.2]),
        "prompt": torch.randint(0, 60, (rows, max(PROMPT)), generator=random),
        "prompt_lengths": torch.tensor(PROMPT),
    }


def alone(batch: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
    for name, length in (("text", "text"), ("inputs", "input"), ("prompt", "prompt")):
        one[name] = one[name][:, : int(one[f"{length}_lengths"][0])]
    return one


def losses(network: T3, batch: dict[str, torch.Tensor], **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    states = network(**batch, **options)
    streams = (
        (network.text.head, batch["text"], batch["text_lengths"]),
        (network.speech.head, batch["inputs"][..., 0], batch["input_lengths"]),
    )
    text, speech = (
        token_loss(states.hidden, states.packing, segment, next_tokens(tokens, lengths), head, chunk=5).total[
            0
        ]
        for segment, (head, tokens, lengths) in zip(network.segments, streams, strict=True)
    )
    return text, speech


@pytest.mark.parametrize("row_tokens", [0, 60, 100, 1000])
def test_packed_rows_equal_rows_alone(network: T3, row_tokens: int) -> None:
    batch = utterances()
    with torch.no_grad():
        states = network(**batch, row_tokens=row_tokens)
        for item, row in enumerate(states.packing.rows.tolist()):
            one = network(**alone(batch, item)).hidden
            size = one.shape[1]
            end = int(states.packing.begins[item, -1]) + SPEECH[item]
            torch.testing.assert_close(states.hidden[row, end - size : end], one[0], atol=2e-6, rtol=1e-5)


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


def test_dropped_text_keeps_its_positions(network: T3) -> None:
    tokens = torch.randint(0, 30, (2, 6))
    kept = network.embed_text(tokens, torch.tensor([True, False]))
    torch.testing.assert_close(kept[0], network.embed_text(tokens)[0])
    torch.testing.assert_close(kept[1], network.text.positions.weight[:6])


def test_both_start_tokens_stand_at_the_first_position() -> None:
    network = T3(T3Config.model_validate(SMALL | {"start_tokens": 2}), num_text_tokens=30)
    tokens = torch.tensor([[60, 60, 5, 7]])
    places = network.speech.embed(tokens[..., None]) - network.speech.embedding(tokens)
    torch.testing.assert_close(places[0], network.speech.positions.weight[[0, 0, 1, 2]])


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
