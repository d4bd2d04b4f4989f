"""chatterbox-mel: durations, the length regulator, its losses to the last digit, its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_voice import fidel_tokenizer, fit_statistics, tiny_backend, tiny_config, tiny_examples
from torch import Tensor

from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_chatterbox.mel.network import at_pace, length_mask, regulate, sinusoids, whole_durations
from amtts_core.config.yaml_files import parse_assignments
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import Example, SynthesisRequest
from amtts_core.errors import AmttsError, ConfigError

NAME = "chatterbox-mel"


@pytest.fixture
def backend() -> Backend:
    backend = tiny_backend(NAME)
    fit_statistics(backend, tiny_examples(backend, 4))
    return backend


# ---- durations ----


def mask_of(lengths: list[int], longest: int) -> Tensor:
    return length_mask(torch.tensor(lengths), longest)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(-3, 4), min_size=1, max_size=12), min_size=1, max_size=4))
def test_durations_are_whole_at_least_one_and_padded_with_none(rows: list[list[float]]) -> None:
    longest = max(map(len, rows))
    logs = torch.tensor([row + [9.0] * (longest - len(row)) for row in rows])
    mask = mask_of([len(row) for row in rows], longest)
    durations = whole_durations(logs, mask)
    assert durations.dtype == torch.int64
    for row, (got, wanted) in enumerate(zip(durations, rows, strict=True)):
        assert (got[: len(wanted)] >= 1).all()
        assert (got[len(wanted) :] == 0).all()
        alone = whole_durations(torch.tensor([wanted]), mask_of([len(wanted)], len(wanted)))
        assert got[: len(wanted)].tolist() == alone[0].tolist(), f"row {row} depends on its neighbours"
        exact = sum(min(max(np.exp(v), 1.0), 200.0) for v in wanted)
        assert abs(int(got.sum()) - exact) <= 1 + 0.5 * sum(np.exp(v) <= 1 for v in wanted)


def test_rounding_the_running_total_keeps_the_length() -> None:
    logs = torch.full((1, 100), float(np.log(2.4)))
    durations = whole_durations(logs, mask_of([100], 100))
    assert int(durations.sum()) == 240, "100 x round(2.4) would be 200"


def test_a_runaway_duration_is_bounded() -> None:
    durations = whole_durations(torch.full((1, 3), 80.0), mask_of([3], 3))
    assert durations.tolist() == [[200, 200, 200]]


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 2.0, 4.0])
def test_another_speed_changes_the_length_and_not_the_level(speed: float) -> None:
    mel = torch.sin(torch.arange(120.0)[:, None] * 0.2 + torch.arange(80) * 0.1) * 2 - 5
    changed = at_pace(mel, speed)
    assert len(changed) == round(120 / speed)
    assert float((changed.exp().mean() / mel.exp().mean()).log()) == pytest.approx(0, abs=0.1)
    assert at_pace(mel, 1.0) is mel


# ---- the length regulator ----


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=6), min_size=1, max_size=4))
def test_regulate_equals_a_loop(rows: list[list[int]]) -> None:
    longest = max(map(len, rows))
    durations = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    owner, place, mask = regulate(durations)
    frames = max(map(sum, rows))
    assert owner.shape == (len(rows), frames)
    for row, counts in enumerate(rows):
        expected = [(s, i / 10, i / n) for s, n in enumerate(counts) for i in range(n)]
        total = len(expected)
        assert owner[row, :total].tolist() == [s for s, _, _ in expected]
        torch.testing.assert_close(place[row, :total], torch.tensor([[a, b] for _, a, b in expected]))
        assert mask[row, :, 0].tolist() == [1.0] * total + [0.0] * (frames - total)
        assert float(place[row, total:].abs().sum()) == 0


def test_sinusoids_tell_positions_apart() -> None:
    table = sinusoids(300, 32, torch.device("cpu"))
    assert table.shape == (300, 32)
    distance = torch.cdist(table, table) + torch.eye(300) * 9
    assert float(distance.min()) > 0.1


# ---- losses ----


def terms(backend: Backend, examples: list[Example]) -> dict[str, float]:
    backend.network.eval()
    with torch.no_grad():
        loss = next(iter(backend.learner().losses(backend.collate(examples))))
    return {"total": float(loss.total), **{key: float(value) for key, value in loss.terms.items()}}


def test_a_padded_batch_is_the_exact_weighted_mean_of_its_items(backend: Backend) -> None:
    """Mel terms are means over frames, the duration term over symbols."""
    examples = tiny_examples(backend, 3, letters=[4, 14, 8])
    alone = [terms(backend, [example]) for example in examples]
    together = terms(backend, examples)
    frames = np.array([len(example.features["mel"]) for example in examples])
    symbols = np.array([len(example.tokens) + 2 for example in examples])
    for key, weights in (("mel", frames), ("prior", frames), ("duration", symbols)):
        expected = np.average([item[key] for item in alone], weights=weights)
        assert together[key] == pytest.approx(expected, rel=1e-4), key


def test_the_total_is_the_sum_of_its_terms(backend: Backend) -> None:
    found = terms(backend, tiny_examples(backend, 2))
    config = backend.config
    expected = (
        found["mel"] + config.prior_weight * found["prior"] + config.duration_weight * found["duration"]
    )
    assert config.duration_weight == 0.1
    assert found["total"] == pytest.approx(expected, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 1.0, 30.0]))
def test_no_term_can_be_negative(seed: int, scale: float) -> None:
    """By construction: means of absolute values and of squares, whatever the weights and the mel."""
    backend = tiny_backend(NAME)
    torch.manual_seed(seed)
    for parameter in backend.network.parameters():
        parameter.data.normal_(0, 0.3)
    random = np.random.default_rng(seed)
    mel = (random.standard_normal((40, 80)) * scale).astype(np.float32)
    example = Example(id="x", tokens=random.integers(4, 60, 9).tolist(), features={"mel": mel})
    found = terms(backend, [example])
    assert min(found.values()) >= 0
    assert all(np.isfinite(value) for value in found.values())


def test_durations_do_not_bend_the_text_encoder(backend: Backend) -> None:
    """The duration term reaches its own predictor only."""
    network = backend.network
    examples = tiny_examples(backend, 2)
    batch = backend.collate(examples)
    made = network(
        batch["tokens"], batch["token_lengths"], network.normalize(batch["mel"]), batch["mel_lengths"]
    )
    made.encoded.log_duration.sum().backward()
    reached = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"duration", "log_duration"}


def test_the_alignment_is_better_than_an_even_one(backend: Backend) -> None:
    """Source of truth: the squared distance between means and mel that the prior term measures."""
    batch, network = backend.collate(tiny_examples(backend, 1)), backend.network
    mel = network.normalize(batch["mel"])
    with torch.no_grad():
        made = network(batch["tokens"], batch["token_lengths"], mel, batch["mel_lengths"])
        durations, prior = made.durations, made.prior
        symbols, frames = durations.shape[1], mel.shape[1]
        even = torch.full((1, symbols), frames // symbols)
        even[0, : frames % symbols] += 1
        other = network.stretch(made.encoded, even).prior
    assert int(durations.sum()) == frames
    assert float((prior - mel).square().sum()) <= float((other - mel).square().sum())


def test_tokens_are_framed_by_silence_symbols(backend: Backend) -> None:
    tokenizer = fidel_tokenizer()
    example = tiny_examples(backend, 1)[0]
    batch = backend.collate([example])
    assert batch["tokens"][0].tolist() == [tokenizer.bos_id, *example.tokens, tokenizer.eos_id]
    assert batch["token_lengths"].tolist() == [len(example.tokens) + 2]


def test_check_example_counts_the_framing_symbols(backend: Backend) -> None:
    assert backend.check_example(8, {"mel": 10}) == ""
    assert backend.check_example(9, {"mel": 10}) == "10 frames are too few for 11 symbols"


def test_statistics_are_saved_with_the_weights(backend: Backend) -> None:
    weights = backend.network.state_dict()
    assert float(weights["mel_mean"].abs().sum()) > 0
    mel = torch.randn(3, 7, 80)
    torch.testing.assert_close(backend.network.denormalize(backend.network.normalize(mel)), mel)


# ---- speakers ----


def test_speakers_speak_differently_and_only_they(backend: Backend) -> None:
    pair = tiny_backend(NAME, speakers=["abebe", "sara"])
    tokens = fidel_tokenizer().encode("ሰላም ለዓለም")
    first, second = pair.synthesize([SynthesisRequest(tokens=tokens, speaker=n) for n in (0, 1)])
    assert len(first) != len(second) or np.abs(first - second).max() > 1e-6
    with pytest.raises(AmttsError, match="unknown speaker 'kebede'; this checkpoint has: abebe, sara"):
        pair.speakers.id_of("kebede")
    assert pair.speakers.id_of("") == 0
    single = tiny_backend(NAME, speakers=["abebe"])
    assert single.speakers.id_of("abebe") == 0
    with pytest.raises(AmttsError, match="unknown speaker 'sara'.*; this checkpoint has: abebe"):
        single.speakers.id_of("sara")


def test_the_speaker_table_learns(backend: Backend) -> None:
    pair = tiny_backend(NAME, speakers=["abebe", "sara"])
    examples = [
        Example(id=e.id, tokens=e.tokens, features=e.features, speaker=s)
        for e, s in zip(tiny_examples(pair, 2), (0, 1), strict=True)
    ]
    batch = pair.collate(examples)
    assert batch["speakers"].tolist() == [0, 1]
    next(iter(pair.learner().losses(batch))).total.backward()
    assert (pair.network.speaker_embedding.weight.grad.abs().sum(1) > 0).all()


# ---- settings and length ----


def test_one_waveform_sample_count_is_frames_times_hop(backend: Backend) -> None:
    wave = backend.synthesize([SynthesisRequest(tokens=fidel_tokenizer().encode("ሰላም"))])[0]
    assert len(wave) % backend.config.mel.hop == 0


def test_a_vocoder_by_path_is_used_and_a_wrong_one_told(tmp_path: Path) -> None:
    config, kind = tiny_config(NAME, model={"vocoder": str(tmp_path / "none")})
    built = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer())
    with pytest.raises(AmttsError, match="vocoder .*none does not exist"):
        built.synthesize([SynthesisRequest(tokens=[5, 6])])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"encoder_kernel": 4}, "odd"),
        ({"decoder_kernel": 8}, "odd"),
        ({"duration_kernel": 2}, "odd"),
        ({"hidden": 33}, "multiple of 2"),
        ({"mel": {"sample_rate": 16000}}, "works at 22050 Hz"),
        ({"mel": {"fmax": 12000.0}}, "fmax"),
        ({"hiden": 32}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ChatterboxMelConfig(**values)


def test_the_command_line_says_which_setting_it_was() -> None:
    with pytest.raises(ConfigError, match="model.encoder_kernel: .*odd.*got 4"):
        tiny_config(NAME, **parse_assignments(["model.encoder_kernel=4"]))


def test_other_mels_can_be_chosen() -> None:
    config, kind = tiny_config(NAME, model={"mel": {"n_mels": 40, "hop": 200}})
    built = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer())
    features = built.features(np.zeros(4000, np.float32)).arrays["mel"]
    assert features.shape == (20, 40)
    fit_statistics(built, tiny_examples(built, 2))
    assert len(built.synthesize([SynthesisRequest(tokens=[5, 6])])[0]) % 200 == 0
