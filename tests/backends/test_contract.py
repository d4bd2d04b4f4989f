"""The contract of `amtts_core.contract.backend`, held by every registered backend at its smallest size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from tiny_voice import fidel_tokenizer, fit_statistics, overfit, tiny_backend, tiny_examples
from torch import Tensor

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.config.run_config import resolve_config
from amtts_core.contract.backend import Backend
from amtts_core.contract.check import faults_of_backend, faults_of_learner
from amtts_core.contract.registry import backend_names, get_backend
from amtts_core.contract.types import Example, PhaseLoss, SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.tokenizers.registry import tokenizer_kinds

STEPS = 80
"""Of the short overfit that the tests of speech and of the text's weight build on."""


@pytest.fixture(scope="module", params=backend_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backend(name: str) -> Backend:
    """Fresh; tests leave its weights as they are."""
    backend = tiny_backend(name)
    fit_statistics(backend, tiny_examples(backend, 4))
    backend.network.eval()
    return backend


@pytest.fixture(scope="module")
def trained(name: str) -> tuple[Backend, list[Example], list[float]]:
    """The backend after a short overfit on four utterances, these, and the losses on the way."""
    backend = tiny_backend(name)
    examples = tiny_examples(backend, 4)
    fit_statistics(backend, examples)
    return backend, examples, overfit(backend, examples, STEPS)


def test_opening_the_codec_draws_no_random_number(backend: Backend) -> None:
    """A training in which a codec is opened goes on with the numbers it would have drawn."""
    before = torch.get_rng_state()
    if codes := backend.spec.speech_codes:
        codes.of(backend).speech_codec()
    assert torch.equal(torch.get_rng_state(), before)


TEXT_TESTED_ELSEWHERE = {"vits": "vits/test_learning.py"}
"""Where most of the loss is sound rebuilt from sound: the text's share shows only after more steps than a test has."""


def losses(backend: Backend, examples: Sequence[Example]) -> dict[str, PhaseLoss]:
    with torch.no_grad():
        return {loss.phase: loss for loss in backend.learner().losses(backend.collate(examples))}


def speak(backend: Backend, texts: Sequence[str], **changes: float) -> list[np.ndarray]:
    tokenizer = backend.text_tokenizer
    if tokenizer is None or not backend.spec.speaks:
        pytest.skip("speaks no text")
    requests = [SynthesisRequest(tokens=tokenizer.encode(text)) for text in texts]
    return backend.synthesize([dataclasses.replace(r, **changes) for r in requests])  # type: ignore[arg-type]


# ---- what it says about itself ----


def test_the_spec_is_complete(name: str) -> None:
    spec = get_backend(name).spec
    assert spec.name == name
    assert 10 < len(spec.summary) < 100
    assert spec.summary == spec.summary.strip()
    rate = spec.default_sample_rate()
    assert rate is None or 8000 <= rate <= 48000
    assert spec.learns_from in ("mel", "codes", "waveform")
    assert issubclass(spec.config, BaseModel)
    assert set(spec.text.tokenizers if spec.text else ()) <= set(tokenizer_kinds())
    assert spec.presets
    assert spec.weights_license
    for key, field in spec.config.model_fields.items():
        assert field.description, f"`{key}` has no description for `amtts config`"


def test_every_preset_is_a_valid_configuration(name: str) -> None:
    for preset in get_backend(name).spec.presets:
        config, kind = resolve_config({"backend": name, "preset": preset})
        assert config.model_config_of(kind.spec) == kind.spec.config.model_validate(config.model)


def test_it_implements_the_protocol(backend: Backend, name: str) -> None:
    assert faults_of_backend(get_backend(name)) == []
    assert faults_of_learner(backend.learner(), backend.spec) == []
    learner = backend.learner()
    assert learner.phases
    assert len(set(learner.phases)) == len(learner.phases)


# ---- weights ----


def test_weights_load_into_a_fresh_network(backend: Backend, name: str) -> None:
    weights = {key: tensor.clone() for key, tensor in backend.network.state_dict().items()}
    again = get_backend(name)(backend.config, tokenizer=backend.text_tokenizer)
    load_strict(again.network, weights, backend=name)
    assert set(again.network.state_dict()) == set(weights)
    for key, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, weights[key]), key


def test_the_seed_decides_the_first_weights(name: str) -> None:
    first, second = tiny_backend(name).network.state_dict(), tiny_backend(name).network.state_dict()
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())
    torch.manual_seed(8)
    backend = tiny_backend(name)
    other = type(backend)(backend.config, tokenizer=backend.text_tokenizer).network.state_dict()
    assert any(not torch.equal(tensor, other[key]) for key, tensor in first.items())


@pytest.mark.parametrize("harm", ["missing", "unexpected", "other size"])
def test_weights_that_do_not_fit_are_an_error(backend: Backend, name: str, harm: str) -> None:
    weights = dict(backend.network.state_dict())
    victim = next(key for key, tensor in weights.items() if tensor.ndim == 2)
    if harm == "missing":
        del weights[victim]
    elif harm == "unexpected":
        weights["left.over"] = torch.zeros(1)
    else:
        weights[victim] = weights[victim][:-1]
    with pytest.raises(CheckpointError) as caught:
        load_strict(backend.network, weights, backend=name)
    said = str(caught.value)
    assert ("left.over" if harm == "unexpected" else victim) in said
    if harm == "other size":
        assert str(len(weights[victim])) in said
        assert str(len(weights[victim]) + 1) in said


def test_text_rows_name_every_tensor_that_follows_the_vocabulary(backend: Backend, name: str) -> None:
    if backend.text_tokenizer is None:
        assert backend.text_tensors() == ()
        return
    own, size = backend.network.state_dict(), backend.text_tokenizer.vocab_size
    rows = {row.tensor: row for row in backend.text_tensors()}
    assert rows
    for row in rows.values():
        assert own[row.tensor].shape[0] == size + row.num_extra_rows
        assert own[row.tensor].ndim == (1 if row.kind == "bias" else 2)
    bigger = get_backend(name)(backend.config, tokenizer=_one_more())
    grown = {key for key, tensor in bigger.network.state_dict().items() if tensor.shape != own[key].shape}
    assert grown == set(rows), "exactly the declared tensors grow with the vocabulary"


def _one_more() -> object:
    from amtts_core.tokenizers.fidel import FidelTokenizer

    return FidelTokenizer([*fidel_tokenizer().symbols(), "ʕ"])


def test_a_text_backend_refuses_to_be_built_without_a_tokenizer(name: str) -> None:
    kind = get_backend(name)
    if kind.spec.text:
        with pytest.raises(AmttsError, match="tokenizer"):
            kind(kind.spec.config(), tokenizer=None)


# ---- features and batches ----


@pytest.mark.parametrize("seconds", [0.2, 1.0, 2.5])
def test_features_are_finite_and_follow_the_length(backend: Backend, seconds: float) -> None:
    random = np.random.default_rng(1)
    wave = (random.standard_normal(round(seconds * backend.sample_rate)) * 0.1).astype(np.float32)
    arrays = backend.features(wave).arrays
    again = backend.features(wave.copy()).arrays
    assert arrays
    for key, array in arrays.items():
        assert array.ndim in (1, 2), key
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, again[key])
    frames = backend.num_frames({key: len(array) for key, array in arrays.items()})
    twice = backend.features(np.concatenate([wave, wave])).arrays
    assert backend.num_frames({key: len(a) for key, a in twice.items()}) == pytest.approx(2 * frames, abs=2)


@pytest.mark.parametrize("samples", [1, 100])
def test_features_of_almost_nothing_do_not_crash(backend: Backend, samples: int) -> None:
    arrays = backend.features(np.zeros(samples, np.float32)).arrays
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_the_feature_key_changes_with_nothing_but_the_maths(backend: Backend, name: str) -> None:
    """Two instances of the same settings share a key; a backend of other settings may or may not."""
    assert backend.feature_key() == tiny_backend(name).feature_key()
    for preset in backend.spec.presets.values():
        other = backend.config.model_copy(update={"dropout": 0.123} if "dropout" in preset else {})
        assert type(backend)(other, tokenizer=backend.text_tokenizer).feature_key() == backend.feature_key()


def test_what_cannot_be_learnt_is_told(backend: Backend) -> None:
    example = tiny_examples(backend, 1)[0]
    lengths = {key: len(array) for key, array in example.features.items()}
    assert backend.check_example(len(example.tokens), lengths) == ""
    if backend.text_tokenizer is not None:
        assert backend.check_example(10_000, lengths)


def test_collate_pads_into_tensors(backend: Backend) -> None:
    examples = tiny_examples(backend, 3, letters=[5, 9, 7])
    batch = backend.collate(examples)
    assert batch["ids"] == ["e0", "e1", "e2"]
    tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
    assert tensors
    for key, tensor in tensors.items():
        assert len(tensor) == 3, key
        assert bool(torch.isfinite(tensor.float()).all()), key
    if backend.text_tokenizer is not None:
        size = backend.text_tokenizer.vocab_size
        assert int(tensors["tokens"].min()) >= 0
        assert int(tensors["tokens"].max()) < size


# ---- losses ----


def test_losses_come_in_order_finite_and_not_negative(backend: Backend) -> None:
    learner = backend.learner()
    found = list(learner.losses(backend.collate(tiny_examples(backend, 3))))
    assert tuple(loss.phase for loss in found) == learner.phases
    for loss in found:
        assert loss.total.ndim == 0
        assert loss.total.requires_grad
        assert float(loss.total.detach()) > 0
        assert bool(torch.isfinite(loss.total))
        assert loss.terms, "every term is logged"
        for key, value in loss.terms.items():
            assert bool(torch.isfinite(value)), key
            assert float(value) >= 0, key
            assert not value.requires_grad, key


def test_every_trainable_parameter_is_in_one_phase_and_gets_gradient(name: str) -> None:
    backend = tiny_backend(name)
    fit_statistics(backend, tiny_examples(backend, 4))
    learner = backend.learner()
    owned = [id(p) for phase in learner.phases for p in learner.parameters(phase)]
    assert len(owned) == len(set(owned)), "phases share no parameter"
    names = {id(p): key for key, p in backend.network.named_parameters() if p.requires_grad}
    assert set(owned) == set(names)
    backend.network.train()
    for loss in learner.losses(backend.collate(tiny_examples(backend, 4))):
        loss.total.backward(inputs=learner.parameters(loss.phase))
    for key, parameter in backend.network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert bool(torch.isfinite(parameter.grad).all()), key
            assert float(parameter.grad.abs().sum()) > 0, key


def test_padding_does_not_change_the_loss_of_an_item(backend: Backend) -> None:
    """A batch is a weighted mean of its items, so each of its terms lies between theirs; more items weigh more."""
    short, long = tiny_examples(backend, 2, letters=[4, 14])
    alone = [losses(backend, [item]) for item in (short, long)]
    pair = losses(backend, [short, long])
    swapped = losses(backend, [long, short])
    for phase, loss in pair.items():
        for key, value in loss.terms.items():
            ends = sorted(float(item[phase].terms[key]) for item in alone)
            room = 1e-4 * max(1.0, ends[1])
            assert ends[0] - room <= float(value) <= ends[1] + room, key
            assert float(swapped[phase].terms[key]) == pytest.approx(float(value), rel=1e-4)


def test_the_same_item_twice_has_the_loss_of_one(backend: Backend) -> None:
    item = tiny_examples(backend, 1)[0]
    once, twice = losses(backend, [item]), losses(backend, [item, item])
    for phase, loss in once.items():
        assert float(twice[phase].total) == pytest.approx(float(loss.total), rel=1e-4)


def test_a_short_overfit_brings_the_loss_down(trained: tuple[Backend, list[Example], list[float]]) -> None:
    _, _, history = trained
    ratio = np.mean(history[-5:]) / history[0]
    told = [round(value, 3) for value in (*history[:5], *history[-5:])]
    assert ratio < 0.6, f"{ratio:.3f}, first and last losses {told}, {torch.get_num_threads()} threads"


def test_the_text_matters(trained: tuple[Backend, list[Example], list[float]]) -> None:
    """Systems that this project replaces trained on a loss that the text could not change."""
    backend, examples, _ = trained
    if backend.text_tokenizer is None:
        pytest.skip("learns without text")
    if backend.spec.name in TEXT_TESTED_ELSEWHERE:
        pytest.skip(f"held by {TEXT_TESTED_ELSEWHERE[backend.spec.name]}")
    last = backend.learner().phases[-1]
    right = float(losses(backend, examples)[last].total)
    random = np.random.default_rng(0)
    shuffled = [
        dataclasses.replace(e, tokens=random.permutation(np.array(e.tokens)).tolist()) for e in examples
    ]
    exchanged = [
        dataclasses.replace(e, tokens=other.tokens)
        for e, other in zip(examples, [*examples[1:], examples[0]], strict=True)
    ]
    assert float(losses(backend, shuffled)[last].total) > 1.2 * right
    assert float(losses(backend, exchanged)[last].total) > 1.2 * right


def test_pictures_are_matrices(backend: Backend) -> None:
    figures = backend.learner().figures(backend.collate(tiny_examples(backend, 2)))
    if backend.text_tokenizer is not None and backend.spec.name != "indextts2":
        assert figures, "an alignment or a mel can be seen in the log"
    for key, picture in figures.items():
        assert picture.ndim == 2, key
        assert bool(torch.isfinite(picture).all()), key


# ---- speech ----

TEXTS = ("ለመሰረ በተነአ።", "ሰላም።", "ከወደገ ለመሰ ረበተ ነአ።")


def test_audio_is_finite_and_its_length_follows_the_text(
    trained: tuple[Backend, list[Example], list[float]],
) -> None:
    backend, examples, _ = trained
    texts: Sequence[str] = TEXTS
    if backend.spec.learns_from == "codes" and backend.text_tokenizer is not None:
        # A language model that has learnt a few clips by heart knows the length of those and of no other.
        texts = sorted((backend.text_tokenizer.decode(e.tokens) for e in examples[:3]), key=len)
    waves = speak(backend, texts)
    assert len(waves) == len(texts)
    for wave, text in zip(waves, texts, strict=True):
        assert wave.ndim == 1
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert float(np.abs(wave).max()) <= 1
        assert float(np.sqrt(np.mean(wave**2))) > 1e-3, "it is audible"
        assert len(wave) / backend.sample_rate == pytest.approx(0.1 * len(text), rel=0.5)
    if texts is TEXTS:
        assert len(waves[1]) < len(waves[0]) < len(waves[2])


@pytest.mark.parametrize("speed", [2.0, 0.5])
def test_speed_divides_the_duration(
    trained: tuple[Backend, list[Example], list[float]], speed: float
) -> None:
    backend = trained[0]
    normal, changed = speak(backend, TEXTS[2:]), speak(backend, TEXTS[2:], speed=speed)
    assert len(changed[0]) / len(normal[0]) == pytest.approx(1 / speed, rel=0.2)


def test_the_same_seed_gives_the_same_audio(trained: tuple[Backend, list[Example], list[float]]) -> None:
    backend = trained[0]
    first = speak(backend, TEXTS[:1], seed=3)[0]
    torch.manual_seed(99)
    np.testing.assert_array_equal(first, speak(backend, TEXTS[:1], seed=3)[0])


def test_a_batch_speaks_as_its_items_do(trained: tuple[Backend, list[Example], list[float]]) -> None:
    backend = trained[0]
    together = speak(backend, TEXTS)
    for text, wave in zip(TEXTS, together, strict=True):
        alone = speak(backend, [text])[0]
        assert len(alone) == len(wave)
        assert float(np.abs(alone - wave).max()) < 0.02


def test_each_request_has_its_own_speed(trained: tuple[Backend, list[Example], list[float]]) -> None:
    backend = trained[0]
    if backend.text_tokenizer is None or not backend.spec.speaks:
        pytest.skip("speaks no text")
    tokens = backend.text_tokenizer.encode(TEXTS[2])
    fast, slow = backend.synthesize(
        [SynthesisRequest(tokens=tokens, speed=2.0), SynthesisRequest(tokens=tokens, speed=0.5)]
    )
    assert len(slow) > 3 * len(fast)


def test_a_missing_bundle_is_refused_in_one_line(backend: Backend, tmp_path: Path) -> None:
    declared = backend.spec.reference_checks
    if declared is None:
        pytest.skip("declares no reference checks")
    with pytest.raises(AmttsError):
        declared.of(type(backend)).reference_checks(tmp_path / "no-bundle")
