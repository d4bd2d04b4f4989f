"""The decode loop: a cache that changes nothing, batches, guidance, seeds, limits."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from amtts_chatterbox.t3.alignment import attention_map
from amtts_chatterbox.t3.config import PRESETS, SamplingConfig, T3Config
from amtts_chatterbox.t3.decoder import Decoder
from amtts_chatterbox.t3.generate import Utterance, Voice, speak, stream, token_steps
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.sampling import choose, draws, keep_nucleus, keep_probable, penalise
from amtts_core.errors import AmttsError
from amtts_core.nn.weight_cache import PACKED_FROM

SMALL = PRESETS["tiny"] | {"speech_codes": 60, "speech_rows": 70, "start_speech": 60, "stop_speech": 61}
PLAIN = SamplingConfig(cfg_weight=0, repetition_penalty=1, only_codes=False)


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


def tokens_of(network: T3, batch: list[Utterance], *, steps: int = 20, **options: Any) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in batch]
    options = {"sampling": PLAIN} | options
    for part in token_steps(network, batch, steps=steps, **options):
        for row, tokens in zip(found, part, strict=True):
            row += tokens
    return found


@torch.no_grad()
def without_cache(network: T3, one: Utterance, *, starts: int, cfg: float, steps: int = 12) -> list[int]:
    """The whole row again for every token."""
    tokens: list[int] = []
    voice = one.voice
    for _ in range(steps):
        speech = torch.tensor([[60] * starts + tokens])
        both = []
        for keep in (True, False):
            hidden, packing = network(
                torch.tensor([one.text]),
                torch.tensor([len(one.text)]),
                speech,
                torch.tensor([speech.shape[1]]),
                voice.speaker[None],
                torch.tensor([voice.emotion]),
                torch.tensor([list(voice.prompt)], dtype=torch.long),
                torch.tensor([len(voice.prompt)]),
                torch.tensor([keep]),
                start_tokens=starts,
            )
            both.append(network.speech_head(hidden[0, -1]))
        tokens.append(int((both[0] + cfg * (both[0] - both[1])).argmax()))
    return tokens


@pytest.mark.parametrize("starts", [1, 2])
@pytest.mark.parametrize("cfg", [0.0, 0.5])
def test_the_cache_changes_nothing(network: T3, starts: int, cfg: float) -> None:
    sampling = PLAIN.model_copy(update={"cfg_weight": cfg})
    for one in BATCH:
        expected = without_cache(network, one, starts=starts, cfg=cfg)
        found = tokens_of(network, [one], steps=12, sampling=sampling, start_tokens=starts, greedy=True)
        assert found == [expected]


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("cfg", [0.0, 0.5])
@pytest.mark.parametrize("copies", [1, 5])
def test_a_batch_speaks_as_its_utterances_do(network: T3, greedy: bool, cfg: float, copies: int) -> None:
    """Rows of different length, with and without a prompt; five copies also take the path of many rows."""
    sampling = SamplingConfig(cfg_weight=cfg, temperature=1.0)
    together = tokens_of(network, BATCH * copies, sampling=sampling, greedy=greedy)
    assert copies == 1 or len(together) >= PACKED_FROM
    for one, found in zip(BATCH * copies, together, strict=True):
        assert tokens_of(network, [one], sampling=sampling, greedy=greedy) == [found]


def test_guidance_without_weight_has_no_rows(network: T3, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    prefill = Decoder.prefill

    def counted(self: Decoder, vectors: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        rows.append(len(vectors))
        return prefill(self, vectors, *rest, **named)

    monkeypatch.setattr(Decoder, "prefill", counted)
    tokens_of(network, BATCH, steps=1)
    tokens_of(network, BATCH, steps=1, sampling=SamplingConfig(cfg_weight=0.3))
    assert rows == [3, 6]


def test_the_start_tokens_are_the_networks_own(network: T3) -> None:
    one, two = tiny(start_tokens=1), tiny(start_tokens=2)
    options: dict[str, Any] = {"greedy": True}
    assert tokens_of(one, BATCH, **options) == tokens_of(two, BATCH, start_tokens=1, **options)
    assert tokens_of(two, BATCH, **options) == tokens_of(one, BATCH, start_tokens=2, **options)
    assert tokens_of(one, BATCH, **options) != tokens_of(two, BATCH, **options)


def test_the_seed_decides(network: T3) -> None:
    sampling = SamplingConfig(temperature=1.5, min_p=0)
    first = tokens_of(network, BATCH, sampling=sampling)
    torch.manual_seed(1)
    assert tokens_of(network, BATCH, sampling=sampling) == first
    others = [dataclasses.replace(u, seed=u.seed + 1) for u in BATCH]
    assert all(a != b for a, b in zip(first, tokens_of(network, others, sampling=sampling), strict=True))


def test_only_codes_and_the_end_are_drawn(network: T3) -> None:
    wild = SamplingConfig(temperature=50, min_p=0, cfg_weight=0)
    drawn = {t for row in tokens_of(network, BATCH, steps=200, sampling=wild) for t in row}
    assert max(drawn) == 61
    assert 60 not in drawn
    free = wild.model_copy(update={"only_codes": False})
    assert max(t for row in tokens_of(network, BATCH, steps=200, sampling=free) for t in row) > 61


def test_bfloat16_logits_are_nearly_the_same(network: T3) -> None:
    rows, lengths = torch.randn(3, 9, 64) * 0.1, torch.tensor([9, 9, 9])
    with torch.inference_mode():
        exact, rounded = (
            torch.cat([decoder.prefill(rows, lengths, steps=1), decoder.step(rows[:, 0])])
            for decoder in (Decoder(network), Decoder(network, dtype=torch.bfloat16))
        )
    assert float((exact - rounded).abs().mean()) < 0.1 * float(exact.std())
    assert tokens_of(network, BATCH, dtype=torch.bfloat16, sampling=SamplingConfig())
    assert network.speech_head.weight.dtype == torch.float32


def test_codes_stop_at_the_end_and_at_the_limit(network: T3) -> None:
    sampling = SamplingConfig(temperature=1.5, min_p=0, most_per_symbol=3, retries=0)
    for one, spoken in zip(BATCH, speak(network, BATCH, sampling=sampling), strict=True):
        assert len(spoken.codes) <= 3 * len(one.text)
        assert all(code < 60 for code in spoken.codes)
        assert spoken.ended or len(spoken.codes) == 3 * len(one.text)
        assert spoken.tries == 1


def test_ended_rows_are_dropped_and_change_nothing(network: T3, monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = SamplingConfig(temperature=50, min_p=0, cfg_weight=0.5)
    batch = [dataclasses.replace(BATCH[n % 3], seed=n) for n in range(9)]
    rows: list[int] = []
    step = Decoder.step

    def counted(self: Decoder, vectors: torch.Tensor) -> torch.Tensor:
        rows.append(len(vectors))
        return step(self, vectors)

    monkeypatch.setattr(Decoder, "step", counted)
    together = tokens_of(network, batch, sampling=sampling, steps=300)
    assert rows[0] == 18
    assert rows[-1] < 10
    for one, found in zip(batch, together, strict=True):
        (alone,) = tokens_of(network, [one], sampling=sampling, steps=300)
        assert found[: len(alone)] == alone
        assert alone[-1] == 61


def _always(network: T3, *, end: bool) -> T3:
    """Makes the end token certain or impossible, whatever the hidden state: all of it points one way."""
    with torch.no_grad():
        network.trunk.norm.weight.zero_()
        network.speech_head.weight.zero_()
        if end:  # all logits are 0 and the end is the only id that may be drawn
            network.config = network.config.model_copy(update={"speech_codes": 0})
    return network


def test_an_implausible_utterance_is_drawn_again_within_bounds() -> None:
    hasty = _always(tiny(), end=True)
    spoken = speak(hasty, BATCH, sampling=SamplingConfig(retries=2))
    assert [one.codes for one in spoken] == [[], [], []]
    assert all(one.ended for one in spoken)
    assert [one.tries for one in spoken] == [1, 1, 1], "none is better than the first, which stands"
    varied = speak(
        _always(tiny(), end=False), BATCH, sampling=SamplingConfig(retries=4, least_per_symbol=4, min_p=0)
    )
    assert any(one.tries > 1 for one in varied)


def test_retries_begin_with_what_one_try_gives(network: T3) -> None:
    easy = SamplingConfig(least_per_symbol=0, most_per_symbol=1000, max_tokens=60, temperature=1.0)
    once = speak(network, BATCH, sampling=easy.model_copy(update={"retries": 0}))
    again = speak(network, BATCH, sampling=easy)
    for first, second in zip(once, again, strict=True):
        assert first.codes == second.codes or not first.ended


def test_a_stream_hands_over_what_one_try_gives(network: T3) -> None:
    sampling = SamplingConfig(temperature=1.2, retries=0, max_tokens=70)
    for one in BATCH:
        parts = list(stream(network, one, every=7, sampling=sampling))
        (whole,) = speak(network, [one], sampling=sampling)
        assert [code for part in parts for code in part] == whole.codes
        assert all(len(part) == 7 for part in parts[:-1])


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
def test_what_the_tables_have_no_row_for_is_told(network: T3, harm: dict[str, Any], said: str) -> None:
    one = utterance()
    if "text" in harm:
        one = dataclasses.replace(one, **harm)
    else:
        one = dataclasses.replace(one, voice=dataclasses.replace(one.voice, **harm))
    with pytest.raises(AmttsError, match=said):
        speak(network, [one])


def test_rows_can_be_forgotten(network: T3) -> None:
    rows, lengths = torch.randn(3, 9, 64), torch.tensor([9, 5, 7])
    for row, length in enumerate(lengths.tolist()):
        rows[row, : 9 - length] = 0
    after = torch.randn(3, 64)
    with torch.inference_mode():
        whole, part = Decoder(network), Decoder(network)
        whole.prefill(rows, lengths, steps=2)
        part.prefill(rows, lengths, steps=2)
        part.keep(torch.tensor([2, 0]))
        torch.testing.assert_close(part.step(after[[2, 0]]), whole.step(after)[[2, 0]], atol=1e-4, rtol=1e-4)


def test_attention_looks_at_the_text_that_the_trunk_saw(network: T3) -> None:
    one = BATCH[0]
    speech = torch.tensor([60, *range(10), 61])
    found = attention_map(
        network, torch.tensor(one.text), speech, one.voice.speaker, one.voice.prompt, layer=1
    )
    assert found.shape == (12, len(one.text))
    assert bool((found >= 0).all())
    assert bool((found.sum(1) <= 1 + 1e-5).all())


# ---- choosing a token ----


def test_choices_follow_the_published_order() -> None:
    """Against the processors of transformers, in the order of the released sampler."""
    torch.manual_seed(0)
    logits, history = torch.randn(5, 40) * 3, torch.randint(0, 40, (5, 7))
    config = SamplingConfig(repetition_penalty=1.4, temperature=0.7, min_p=0.05, top_p=0.8)
    expected = RepetitionPenaltyLogitsProcessor(1.4)(history, logits) / 0.7
    expected = TopPLogitsWarper(0.8)(history, MinPLogitsWarper(0.05)(history, expected))
    ours = keep_nucleus(keep_probable(penalise(logits, history, 1.4) / 0.7, 0.05), 0.8)
    torch.testing.assert_close(ours, expected)
    mass = expected.softmax(1)
    drawn = torch.stack([choose(logits, history, torch.rand(5), config) for _ in range(4000)])
    share = torch.nn.functional.one_hot(drawn, 40).float().mean(0)
    torch.testing.assert_close(share, mass, atol=0.04, rtol=0)
    assert bool((share[mass == 0] == 0).all())


def test_the_ends_of_the_uniform_numbers_are_safe() -> None:
    logits = torch.full((2, 9), -torch.inf)
    logits[:, 3] = 1.0
    logits[:, 6] = -30.0
    config = SamplingConfig(min_p=0, repetition_penalty=1)
    for value in (0.0, 1 - 2**-24):
        drawn = choose(logits, torch.zeros(2, 1, dtype=torch.long), torch.full((2,), value), config)
        assert set(drawn.tolist()) <= {3, 6}


def test_draws_of_an_utterance_do_not_depend_on_its_neighbours() -> None:
    assert torch.equal(draws([5, 6], 8)[1], draws([6], 8)[0])
