"""T3 in the shared runtime: a cache that changes nothing, batches, guidance, seeds, drafts, limits."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from amtts_chatterbox.t3.config import PRESETS, T3Config, T3SamplingConfig
from amtts_chatterbox.t3.inference import LENGTH_SLACK, Utterance, Voice, bounded, prompts_of
from amtts_chatterbox.t3.network import T3
from amtts_core.errors import AmttsError
from amtts_core.speech_lm import tuning
from amtts_core.speech_lm.generate import Decoding, generate, generate_stream
from amtts_core.speech_lm.length_model import LengthModel
from amtts_core.speech_lm.runtime import open_step_model
from amtts_core.speech_lm.step_model import StepModel
from amtts_core.training.statistics import SingleProcess

SMALL = PRESETS["tiny"] | {"speech_codes": 60, "speech_rows": 70, "start_speech": 60, "stop_speech": 61}
PLAIN: dict[str, Any] = {"guidance_scale": 1, "repetition_penalty": 1}


def tiny(**changes: Any) -> T3:
    torch.manual_seed(3)
    network = T3(T3Config.model_validate(SMALL | changes), num_text_tokens=30).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6)
    return network


@pytest.fixture(scope="module")
def network() -> T3:
    return tiny()


def utterance(letters: int = 6, *, prompt: int = 9, seed: int = 0) -> Utterance:
    random = torch.Generator().manual_seed(letters)
    voice = Voice(
        speaker=torch.rand(256, generator=random),
        prompt=torch.randint(0, 60, (prompt,), generator=random).tolist(),
        emotion=0.7,
    )
    return Utterance(text=torch.randint(0, 30, (letters,), generator=random).tolist(), voice=voice, seed=seed)


BATCH = [utterance(6), utterance(11, prompt=0, seed=4), utterance(3, prompt=20, seed=9)]


def codes_of(
    network: T3,
    batch: list[Utterance],
    *,
    frames: int = 20,
    any_id: bool = False,
    draft: bool = False,
    precision: Any = "fp32",
    **sampling: Any,
) -> list[list[int]]:
    """Codes, and the end where there was one."""
    config = T3SamplingConfig.model_validate(PLAIN | sampling)
    prompts = prompts_of(network, batch, config, max_frames=frames)
    decoding = Decoding(sampling=config, any_id=any_id, draft=draft, precision=precision)
    return [[*one.codes[:, 0].tolist(), *[61] * one.ended] for one in generate(network, prompts, decoding)]


@torch.no_grad()
def without_cache(network: T3, one: Utterance, *, cfg: float, frames: int = 12) -> list[int]:
    """The whole row again for every token."""
    starts = network.speech.start_tokens
    tokens: list[int] = []
    voice = one.voice
    for _ in range(frames):
        speech = torch.tensor([[60] * starts + tokens])[..., None]
        both = []
        for keep in (True, False):
            states = network(
                torch.tensor([one.text]),
                torch.tensor([len(one.text)]),
                speech,
                torch.tensor([speech.shape[1]]),
                voice.speaker[None],
                torch.tensor([voice.emotion]),
                torch.tensor([list(voice.prompt)], dtype=torch.long),
                torch.tensor([len(voice.prompt)]),
                torch.tensor([keep]),
            )
            both.append(network.speech.head(states.hidden[0, -1]))
        tokens.append(int((both[0] + cfg * (both[0] - both[1])).argmax()))
        if tokens[-1] == 61:
            break
    return tokens


@pytest.mark.parametrize("starts", [1, 2])
@pytest.mark.parametrize("cfg", [0.0, 0.5])
def test_the_cache_changes_nothing(starts: int, cfg: float) -> None:
    network = tiny(start_tokens=starts)
    options: dict[str, Any] = {"temperature": 0, "guidance_scale": 1 + cfg}
    for one in BATCH:
        expected = without_cache(network, one, cfg=cfg)
        assert codes_of(network, [one], frames=12, any_id=True, **options)[0][:12] == expected


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("guidance", [1.0, 1.5])
@pytest.mark.parametrize("copies", [1, 5])
def test_a_batch_speaks_as_its_utterances_do(
    network: T3, temperature: float, guidance: float, copies: int
) -> None:
    """Rows of different length, with and without a prompt, with a repetition penalty."""
    options: dict[str, Any] = {
        "guidance_scale": guidance,
        "temperature": temperature,
        "repetition_penalty": 1.2,
    }
    together = codes_of(network, BATCH * copies, **options)
    for one, found in zip(BATCH * copies, together, strict=True):
        assert codes_of(network, [one], **options) == [found]


@pytest.mark.parametrize("pins", ["plain,draft=2", "draft=3", "linear=packed,attention=matmul,draft=5"])
@pytest.mark.parametrize("guidance", [1.0, 1.5])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_guesses_change_no_code(
    network: T3, monkeypatch: pytest.MonkeyPatch, pins: str, guidance: float, temperature: float
) -> None:
    """With guidance and a repetition penalty, which sees the guesses before it."""
    options: dict[str, Any] = {
        "guidance_scale": guidance,
        "temperature": temperature,
        "repetition_penalty": 1.3,
        "frames": 40,
    }
    plain = [codes_of(network, [one], **options) for one in BATCH]
    checks: list[int] = []
    check = StepModel.check
    monkeypatch.setattr(StepModel, "check", lambda self, e: checks.append(e.shape[1]) or check(self, e))
    monkeypatch.setenv(tuning.VARIABLE, pins.removeprefix("plain,"))
    assert [codes_of(network, [one], draft=True, **options) for one in BATCH] == plain
    assert checks
    assert len(checks) < sum(len(one[0]) for one in plain)


@pytest.mark.parametrize("kernel", ["vector", "weight_first", "transposed", "halves", "packed"])
def test_every_kernel_gives_the_same_codes(network: T3, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    options: dict[str, Any] = {"guidance_scale": 1.5, "temperature": 0.8}
    plain = [codes_of(network, batch, **options) for batch in (BATCH, BATCH[:1], BATCH * 3)]
    monkeypatch.setattr("amtts_core.speech_lm.kernels.SMALL", 0)
    monkeypatch.setenv(tuning.VARIABLE, f"linear={kernel}")
    assert [codes_of(network, batch, **options) for batch in (BATCH, BATCH[:1], BATCH * 3)] == plain


def test_guidance_without_weight_has_no_rows(network: T3, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    prefill = StepModel.prefill

    def counted(self: StepModel, embeds: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        rows.append(len(embeds))
        return prefill(self, embeds, *rest, **named)

    monkeypatch.setattr(StepModel, "prefill", counted)
    codes_of(network, BATCH, frames=1)
    codes_of(network, BATCH, frames=1, guidance_scale=1.3)
    assert rows == [3, 6]


def test_the_start_tokens_are_the_networks_own() -> None:
    one, two = tiny(start_tokens=1), tiny(start_tokens=2)
    assert codes_of(one, BATCH, temperature=0) != codes_of(two, BATCH, temperature=0)


def test_the_seed_decides(network: T3) -> None:
    options: dict[str, Any] = {"temperature": 1.5, "min_p": 0}
    first = codes_of(network, BATCH, **options)
    torch.manual_seed(1)
    assert codes_of(network, BATCH, **options) == first
    others = [dataclasses.replace(u, seed=u.seed + 1) for u in BATCH]
    assert all(a != b for a, b in zip(first, codes_of(network, others, **options), strict=True))


def test_only_codes_and_the_end_are_drawn(network: T3) -> None:
    wild: dict[str, Any] = {"temperature": 50, "min_p": 0, "frames": 200}
    drawn = {t for row in codes_of(network, BATCH * 3, **wild) for t in row}
    assert max(drawn) == 61
    assert 60 not in drawn
    free = {t for row in codes_of(network, BATCH * 3, any_id=True, **wild) for t in row}
    assert max(free) > 61


def test_bfloat16_and_8_bits_are_nearly_the_same(network: T3) -> None:
    rows, lengths = torch.randn(3, 9, 64) * 0.1, torch.tensor([9, 9, 9])
    with torch.inference_mode():
        exact, *rounded = (
            torch.cat([model.prefill(rows, lengths, steps=1), model.step(rows[:, 0])])
            for model, _ in (
                open_step_model(network, rows=3, precision=precision)
                for precision in ("fp32", "bf16", "int8")
            )
        )
    for found, share in zip(rounded, (0.1, 0.3), strict=True):
        assert 0 < float((exact - found).abs().mean()) < share * float(exact.std())
    assert codes_of(network, BATCH, precision="bf16")
    assert network.speech.head.weight.dtype == torch.float32


def test_codes_stop_at_the_end_and_at_the_limit(network: T3) -> None:
    config = T3SamplingConfig(temperature=1.5, min_p=0, most_per_symbol=3)
    prompts = prompts_of(network, BATCH, config)
    found = generate(network, prompts, Decoding(sampling=config))
    for one, prompt, spoken in zip(BATCH, prompts, found, strict=True):
        assert prompt.max_frames == 3 * len(one.text)
        assert len(spoken.codes) <= prompt.max_frames
        assert bool((spoken.codes < 60).all())
        assert spoken.ended or len(spoken.codes) == prompt.max_frames


def test_ended_rows_are_dropped_and_change_nothing(network: T3, monkeypatch: pytest.MonkeyPatch) -> None:
    wild: dict[str, Any] = {"temperature": 50, "min_p": 0, "guidance_scale": 1.5, "frames": 300}
    batch = [dataclasses.replace(BATCH[n % 3], seed=n) for n in range(9)]
    rows: list[int] = []
    step = StepModel.step

    def counted(self: StepModel, embeds: torch.Tensor, **options: Any) -> torch.Tensor:
        rows.append(len(embeds))
        return step(self, embeds, **options)

    monkeypatch.setattr(StepModel, "step", counted)
    together = codes_of(network, batch, **wild)
    assert rows[0] == 18
    assert rows[-1] < 10
    for one, found in zip(batch, together, strict=True):
        assert codes_of(network, [one], **wild) == [found]
        assert found[-1] == 61


def test_a_stream_hands_over_what_the_whole_gives(network: T3) -> None:
    decoding = Decoding(sampling=T3SamplingConfig(temperature=1.2))
    for prompt in prompts_of(network, BATCH, T3SamplingConfig(), max_frames=70):
        parts = list(generate_stream(network, prompt, decoding, every=7))
        (whole,) = generate(network, [prompt], decoding)
        assert torch.equal(torch.cat([whole.codes[:0], *parts]), whole.codes)
        assert all(len(part) == 7 for part in parts[:-1])


def test_bounds_of_the_length_are_those_of_training() -> None:
    lengths = LengthModel()
    assert bounded(T3SamplingConfig(), lengths) == T3SamplingConfig()
    lengths.update(torch.tensor([10, 20]), torch.tensor([20, 80]))
    lengths.end_step(SingleProcess())
    found = bounded(T3SamplingConfig(), lengths)
    assert (found.least_per_symbol, found.most_per_symbol) == (2 / LENGTH_SLACK, 4 * LENGTH_SLACK)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ({"text": [1]}, "1 tokens"),
        ({"text": [1] * 400}, "400 tokens"),
        ({"text": [1, 30]}, "30"),
        ({"prompt": [0] * 151}, "151"),
        ({"prompt": [70]}, "70"),
        ({"speaker": torch.zeros(5)}, "256"),
    ],
)
def test_what_the_tables_have_no_row_for_is_an_error(network: T3, harm: dict[str, Any], said: str) -> None:
    one = utterance()
    if "text" in harm:
        one = dataclasses.replace(one, **harm)
    else:
        one = dataclasses.replace(one, voice=dataclasses.replace(one.voice, **harm))
    with pytest.raises(AmttsError, match=said):
        prompts_of(network, [one], T3SamplingConfig())


def test_rows_can_be_forgotten(network: T3) -> None:
    rows, lengths = torch.randn(3, 9, 64), torch.tensor([9, 5, 7])
    for row, length in enumerate(lengths.tolist()):
        rows[row, : 9 - length] = 0
    after = torch.randn(3, 64)
    with torch.inference_mode():
        whole, part = (open_step_model(network, rows=3)[0] for _ in range(2))
        whole.prefill(rows, lengths, steps=2)
        part.prefill(rows, lengths, steps=2)
        part.keep(torch.tensor([2, 0]))
        torch.testing.assert_close(part.step(after[[2, 0]]), whole.step(after)[[2, 0]], atol=1e-4, rtol=1e-4)
