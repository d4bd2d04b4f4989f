"""T3 behind the contract of a backend, with a toy codec whose codes are tones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_t3 import CODES, build, config, tone_codec
from tiny_voice import CODEC, fidel_tokenizer, overfit, tiny_examples

from amtts_chatterbox.t3.backend import SAMPLE_RATE, ChatterboxT3Backend
from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.published import (
    DUMMY,
    PUBLISHED,
    load_published,
    published_config,
    to_published,
)
from amtts_chatterbox.voice_encoder import VoiceEncoder
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import Example, SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.run.export import export_network
from amtts_core.speech_lm.streams import IGNORED
from amtts_core.training.statistics import statistics_of


@pytest.fixture(autouse=True)
def _codec() -> Iterator[None]:
    with tone_codec():
        yield


def total(backend: ChatterboxT3Backend, examples: list[Example]) -> float:
    with torch.no_grad():
        return float(next(backend.learner().losses(backend.collate(examples))).total)


@pytest.fixture(scope="module")
def trained() -> tuple[ChatterboxT3Backend, list[Example]]:
    with tone_codec():
        backend = build(text_dropout=0.1, sampling={"temperature": 0, "most_per_symbol": 8})
        examples = tiny_examples(backend, 4)
        overfit(backend, examples, 120)
    return backend, examples


def test_it_implements_the_protocol() -> None:
    backend = build()
    assert isinstance(backend, Backend)
    assert backend.speech_codec().cardinality == CODES
    assert {row.tensor for row in backend.text_tensors()} == {"text.embedding.weight", "text.head.weight"}


def test_weights_come_back_and_others_are_refused() -> None:
    backend = build(("ሀ", "ለ"))
    state = backend.network.state_dict()
    again = ChatterboxT3Backend(backend.config, tokenizer=backend.text_tokenizer, speakers=backend.speakers)
    load_strict(again.network, state, backend="chatterbox")
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, state[name])
    with pytest.raises(CheckpointError, match="voices.vectors"):
        load_strict(of(backend.config).network, state, backend="chatterbox")


def test_features_are_codes() -> None:
    backend = build()
    for samples in (1, 100, SAMPLE_RATE):
        codes = backend.features(np.zeros(samples, np.float32)).arrays["codes"]
        assert codes.shape[1] == 1
        assert len(codes) == pytest.approx(samples * 25 / SAMPLE_RATE, abs=1)
    assert backend.check_example(5, {"codes": 40}) == ""
    assert "text tokens" in backend.check_example(10_000, {"codes": 40})
    assert "speech tokens" in backend.check_example(5, {"codes": 10_000})
    assert backend.check_example(5, {"codes": 0})


def test_without_a_codec_or_with_another_codebook_it_says_so() -> None:
    backend = build(codec="")
    with pytest.raises(AmttsError, match="model.codec=mel-codes"):
        backend.features(np.zeros(100, np.float32))
    wrong = build(speech_codes=20)
    with pytest.raises(
        AmttsError, match="24 codes a codebook, the network expects 20.*model.speech_codes=24"
    ):
        wrong.features(np.zeros(100, np.float32))


@pytest.mark.parametrize("starts", [1, 2])
def test_a_batch_holds_every_code_between_starts_and_end(starts: int) -> None:
    backend = build(start_tokens=starts)
    examples = tiny_examples(backend, 3)
    batch = backend.collate(examples)
    for row, example in enumerate(examples):
        length = int(batch["input_lengths"][row])
        codes = example.features["codes"][:, 0].tolist()
        assert batch["inputs"][row, :length, 0].tolist() == [CODES] * starts + codes
        predicted = batch["targets"][row, :length, 0].tolist()
        assert predicted == [IGNORED] * (starts - 1) + [*codes, CODES + 1], "no start predicts a start"
        assert bool((batch["targets"][row, length:] == IGNORED).all())
        text = batch["tokens"][row, : int(batch["token_lengths"][row])].tolist()
        assert text == [2, *example.tokens, 3]


def test_validation_has_no_chance_in_it_and_no_neighbours() -> None:
    backend = build(voice_dropout=0.5, text_dropout=0.5)
    backend.network.eval()
    examples = tiny_examples(backend, 3, letters=[4, 9, 14])
    alone = [total(backend, [example]) for example in examples]
    together = total(backend, examples)
    assert min(alone) - 1e-4 <= together <= max(alone) + 1e-4
    assert total(backend, examples[::-1]) == pytest.approx(together, rel=1e-5)
    packed = build(row_tokens=400)
    packed.network.eval()
    assert total(packed, examples) == pytest.approx(together, rel=1e-5)


def test_prompts_come_from_another_clip_of_the_speaker() -> None:
    backend = build(("ሀ", "ለ"), voice_dropout=0)
    examples = [
        dataclasses.replace(example, speaker=speaker)
        for example, speaker in zip(tiny_examples(backend, 4), (0, 0, 1, 0), strict=True)
    ]
    # Each clip has a code of its own, so that a prompt tells where it comes from.
    for number, example in enumerate(examples):
        example.features["codes"][:] = number
    learner, batch = backend.learner(), backend.collate(examples)
    seen: dict[int, set[int]] = {0: set(), 1: set(), 3: set()}
    for _ in range(40):
        prompt, lengths = learner._other_clips(batch)
        assert int(lengths[2]) == 0, "nobody else spoke as the third does"
        for row, found in seen.items():
            found |= set(prompt[row, : int(lengths[row])].tolist())
    assert seen == {0: {1, 3}, 1: {0, 3}, 3: {0, 1}}


def test_text_is_dropped_in_training_only() -> None:
    backend = build(text_dropout=0.99, voice_dropout=0.99)
    examples = tiny_examples(backend, 2)
    other = [dataclasses.replace(e, tokens=[t + 1 for t in e.tokens]) for e in examples]
    losses = {}
    for training in (True, False):
        backend.network.train(training)
        for name, items in (("own", examples), ("other", other)):
            torch.manual_seed(0)
            with torch.no_grad():
                losses[training, name] = float(
                    next(backend.learner().losses(backend.collate(items))).terms["speech"]
                )
    assert losses[True, "own"] == losses[True, "other"]
    assert losses[False, "own"] != losses[False, "other"]


def test_every_parameter_gets_gradient() -> None:
    backend = build(voice_dropout=0)
    backend.network.train()
    learner = backend.learner()
    (loss,) = learner.losses(backend.collate(tiny_examples(backend, 4)))
    loss.total.backward()
    assert loss.total.item() == pytest.approx(loss.terms["speech"].item() + 0.1 * loss.terms["text"].item())
    for name, parameter in backend.network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_it_learns_and_the_text_matters(trained: tuple[ChatterboxT3Backend, list[Example]]) -> None:
    backend, examples = trained
    right = total(backend, examples)
    assert right < 0.4 * total(build(), examples)
    exchanged = [
        dataclasses.replace(e, tokens=o.tokens)
        for e, o in zip(examples, [*examples[1:], examples[0]], strict=True)
    ]
    assert total(backend, exchanged) > 1.2 * right


def test_it_speaks_what_it_learnt(trained: tuple[ChatterboxT3Backend, list[Example]]) -> None:
    backend, examples = trained
    waves = backend.synthesize([SynthesisRequest(tokens=e.tokens) for e in examples])
    for wave, example in zip(waves, examples, strict=True):
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() <= 1
        expected = len(example.features["codes"]) / 25
        assert len(wave) / SAMPLE_RATE == pytest.approx(expected, rel=0.5)
    again = backend.synthesize([SynthesisRequest(tokens=examples[1].tokens)])[0]
    np.testing.assert_allclose(again, waves[1], atol=1e-4)


def test_it_remembers_a_prompt_of_each_speaker(trained: tuple[ChatterboxT3Backend, list[Example]]) -> None:
    backend, examples = trained
    voices = backend.network.voices
    assert voices is not None
    longest = max((e.features["codes"] for e in examples), key=len)
    kept = min(len(longest), backend.config.prompt_tokens)
    assert int(voices.lengths[0]) == kept
    beginnings = [
        e.features["codes"][:kept, 0].tolist() for e in examples if len(e.features["codes"]) >= kept
    ]
    assert voices.prompts[0, :kept].tolist() in beginnings


def test_requests_it_cannot_meet_are_told() -> None:
    with pytest.raises(AmttsError, match="tokenizer"):
        ChatterboxT3Backend(config(), tokenizer=None)


def test_pictures_show_the_alignment(trained: tuple[ChatterboxT3Backend, list[Example]]) -> None:
    backend, examples = trained
    picture = backend.learner().figures(backend.collate(examples))["alignment"]
    assert picture.shape == (len(examples[0].tokens) + 2, len(examples[0].features["codes"]) + 1)


def test_speaker_vectors_come_from_a_voice_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(VoiceEncoder(hidden=16, size=256).state_dict(), tmp_path / "ve.pt")
    backend = build(voice_encoder=str(tmp_path / "ve.pt"))
    examples = tiny_examples(backend, 2)
    batch = backend.collate(examples)
    for row, example in enumerate(examples):
        assert example.features["speaker"].shape == (1, 256)
        np.testing.assert_array_equal(batch["speaker_vectors"][row], example.features["speaker"][0])
    backend.network.train()
    learner = backend.learner()
    with statistics_of(learner, backend.spec):
        next(learner.losses(batch))
    assert backend.network.voices is not None
    longest = max(range(2), key=lambda row: int(batch["input_lengths"][row]))
    assert torch.equal(backend.network.voices.vectors[0], batch["speaker_vectors"][longest])


def of(settings: T3Config) -> ChatterboxT3Backend:
    return ChatterboxT3Backend(settings, tokenizer=fidel_tokenizer())


def test_a_voice_encoder_that_does_not_fit_is_told_before_any_audio_is_heard(tmp_path: Path) -> None:
    wrong = config(codec="mel-codes", codec_weights=str(CODEC), voice_encoder=str(tmp_path / "ve.pt"))
    with pytest.raises(CheckpointError, match=r"ve.pt does not exist"):
        of(wrong).feature_key()
    torch.save(VoiceEncoder(hidden=8, size=16).state_dict(), tmp_path / "ve.pt")
    with pytest.raises(CheckpointError, match=r"16 channels, model.speaker_size is 256.*speaker_size=16"):
        of(wrong).feature_key()
    fitting = wrong.model_copy(update={"speaker_size": 16})
    before = of(fitting).feature_key()
    torch.save(VoiceEncoder(hidden=8, size=16).state_dict(), tmp_path / "ve.pt")
    assert of(fitting).feature_key() != before, "other weights under the same name"


def test_an_export_has_the_published_names_and_loads_again(
    trained: tuple[ChatterboxT3Backend, list[Example]], tmp_path: Path
) -> None:
    backend, _ = trained
    backend.export(tmp_path / "out", format="chatterbox")
    sizes = json.loads((tmp_path / "out" / "config.json").read_text())
    again = load_published(tmp_path / "out" / "t3_cfg.safetensors", config=published_config(sizes))
    for name, tensor in to_published(again.state_dict()).items():
        if name != DUMMY:
            assert torch.equal(tensor, to_published(backend.network.state_dict())[name]), name
    assert sizes["t3"]["start_text_token"] == 2
    begun = PUBLISHED.open_weights(tmp_path / "out").model
    own = backend.config.model_dump(mode="json")
    for name in (
        "hidden",
        "layers",
        "heads",
        "speech_codes",
        "start_tokens",
        "multilingual",
        "text_positions",
    ):
        assert begun[name] == own[name], "its own sizes, although the file has the name of a published one"
    readme = (tmp_path / "out" / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md", "config.json", "t3_cfg.safetensors", "tokenizer.json",
    ]  # fmt: skip
    with pytest.raises(AmttsError, match="known formats: chatterbox"):
        export_network(backend, tmp_path, format="onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(AmttsError, match="cannot be written"):
        backend.export(tmp_path / "file", format="chatterbox")
