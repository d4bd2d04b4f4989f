"""Training types on every family that can start from published weights: what learns, what stays to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from extended import BACKENDS, extended, text_tables, train_from, weights_of
from safetensors.torch import load_file
from tiny_voice import make_corpus, train_tiny

from amtts_core.checkpoints.checkpoint import checkpoints_of, read_checkpoint
from amtts_core.errors import AmttsError, CheckpointError, ConfigError
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.synthesis.engine import Synthesizer

DECAYED = {"learning_rate": 2e-3, "weight_decay": 0.5, "warmup_steps": 2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("types") / "corpus")


@pytest.fixture(scope="module", params=BACKENDS)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, extended(tmp_path_factory.mktemp(request.param), request.param)


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.numpy().tobytes() == second.numpy().tobytes()


def stored(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(run, prefer="latest").stored_weights()


def test_original_rows_keep_their_bits_for_50_steps(
    family: tuple[str, Path], corpus: Path, tmp_path: Path
) -> None:
    """With weight decay, momentum, two batches a step, an average of the weights and a resumed run."""
    backend, folder = family
    training: dict[str, Any] = {
        "max_steps": 25,
        "validate_every": 25,
        "save_every": 25,
        "accumulate": 2,
        "ema_decay": 0.9,
        "freeze": {"original_tokens": True},
        "optim": DECAYED,
    }
    train_from(corpus, tmp_path / "run", folder, backend, training=training)
    train_from(
        corpus, tmp_path / "run", None, backend, resume=True, model=open_init_weights(folder).model,
        training={**training, "max_steps": 50},
    )  # fmt: skip
    checkpoint = read_checkpoint(tmp_path / "run", prefer="latest")
    assert checkpoint.info.step == 50
    new = checkpoint.info.new_tokens
    assert len(new) > 300
    report = json.loads((folder / "vocab_report.json").read_text(encoding="utf-8"))
    assert new == sorted(report["new_tokens"].values())
    trained = checkpoint.training_state()["weights"]["trained"]
    for weights in (checkpoint.weights(), trained):  # the average, and what the optimizer moves
        for name, before in text_tables(backend, weights_of(folder, backend)).items():
            old = torch.ones(len(before), dtype=torch.bool)
            old[new] = False
            assert same_bits(weights[name][old], before[old]), name
            assert not torch.equal(weights[name][new], before[new]), name
    for state in checkpoint.training_state()["optimizers"]["phases"].values():
        for moments in state["state"].values():
            if moments["exp_avg"].shape == before.shape:
                assert not moments["exp_avg"][old].any()
                assert not moments["exp_avg_sq"][old].any()


@pytest.mark.parametrize("kind", ["lora", "lora+new-tokens", "embeddings-only"])
def test_only_what_a_type_names_learns(
    family: tuple[str, Path], corpus: Path, tmp_path: Path, kind: str
) -> None:
    backend, folder = family
    start = open_init_weights(folder)
    train_from(corpus, tmp_path / "start", start, backend, training={"max_steps": 1, "type": kind,
               "optim": {"learning_rate": 1e-30}})  # fmt: skip
    train_from(corpus, tmp_path / "run", start, backend, training={"max_steps": 6, "type": kind})
    info = read_checkpoint(tmp_path / "run").info
    assert info.training_type == kind
    before, after = stored(tmp_path / "start"), stored(tmp_path / "run")
    tables = set(text_tables(backend, weights_of(folder, backend)))
    new = torch.tensor(info.new_tokens)
    for name, value in after.items():
        still = torch.equal(before[name], value)
        if ".lora_" in name:
            assert not still, name
        elif name in tables:
            assert still == (kind == "lora"), name
            if kind == "lora+new-tokens":
                old = torch.ones(len(value), dtype=torch.bool)
                old[new] = False
                assert same_bits(before[name][old], value[old])
        elif not name.startswith(("discriminator.", "length_model.", "voices.")):
            assert still == (name not in info.began_fresh), name
    adapted = {name.rsplit(".lora_A", 1)[0] for name in after if ".lora_A" in name}
    assert adapted == set(info.lora.get("targets", ()))
    assert bool(adapted) == kind.startswith("lora")


def test_a_lora_run_resumes_to_the_same_bits_and_speaks(
    family: tuple[str, Path], corpus: Path, tmp_path: Path
) -> None:
    backend, folder = family
    training: dict[str, Any] = {
        "type": "lora+new-tokens",
        "max_steps": 6,
        "validate_every": 3,
        "save_every": 3,
    }
    lora: dict[str, Any] = {"lora": {"rank": 4, "dropout": 0.1}}
    short = training | lora | {"max_steps": 3, "optim": {"schedule": "constant"}}
    whole = training | lora | {"optim": {"schedule": "constant"}}
    train_from(corpus, tmp_path / "one", folder, backend, training=whole)
    train_from(corpus, tmp_path / "two", folder, backend, training=short)
    model = open_init_weights(folder).model
    train_from(corpus, tmp_path / "two", None, backend, resume=True, model=model, training=whole)
    first, second = (stored(tmp_path / name) for name in ("one", "two"))
    assert set(first) == set(second)
    assert all(same_bits(first[name], second[name]) for name in first)

    checkpoint = read_checkpoint(tmp_path / "one", prefer="latest")
    plain = checkpoint.weights()
    assert not [name for name in plain if "lora_" in name or "base_layer" in name]
    layer = checkpoint.info.lora["targets"][0]
    assert not torch.equal(plain[f"{layer}.weight"], first[f"{layer}.base_layer.weight"])
    synthesizer = Synthesizer(checkpoint.load_backend(), checkpoint.normalizer())
    assert synthesizer.speak("ሰላም ለዓለም።").waveform.size
    with pytest.raises(CheckpointError, match=r"training_type was \"lora\+new-tokens\", is now \"full\""):
        train_from(
            corpus, tmp_path / "two", None, backend, resume=True, model=model,
            training={**whole, "type": "full", "max_steps": 9},
        )  # fmt: skip
    with pytest.raises(CheckpointError, match=r"lora.rank was 4, is now 8"):
        train_from(
            corpus, tmp_path / "two", None, backend, resume=True, model=model,
            training={**whole, "lora": {"rank": 8}, "max_steps": 9},
        )  # fmt: skip


def test_merged_weights_are_those_the_adapters_speak_with(
    family: tuple[str, Path], corpus: Path, tmp_path: Path
) -> None:
    """Validation during training (adapters merged for the moment) = the stored checkpoint, merged on loading."""
    backend, folder = family
    seen: dict[str, torch.Tensor] = {}

    from amtts_core.training.callbacks.base import Callback

    class Watch(Callback):
        def started(self, state: Any) -> None:
            self.state = state

        def validated(self, step: int, metrics: dict[str, float], figures: Any) -> None:
            seen.update({k: v.clone() for k, v in self.state.backend.network.state_dict().items()})

    train_from(
        corpus, tmp_path / "run", folder, backend, callbacks=[Watch()],
        training={"type": "lora", "max_steps": 3, "validate_every": 3},
    )  # fmt: skip
    loaded = read_checkpoint(tmp_path / "run").weights()
    assert set(loaded) == set(seen)
    for name, value in loaded.items():
        torch.testing.assert_close(seen[name], value, rtol=1e-6, atol=1e-7)


def test_parts_learn_at_their_own_rates(family: tuple[str, Path], corpus: Path, tmp_path: Path) -> None:
    backend, folder = family
    rates = {"new_tokens": 3.0, "old_tokens": 0.0, "heads": 0.0, "other": 0.0}
    optim = {"optim": {"rates": rates, "weight_decay": 0.0}}
    train_from(corpus, tmp_path / "run", folder, backend, training={"max_steps": 3, **optim})
    after = stored(tmp_path / "run")
    info = read_checkpoint(tmp_path / "run").info
    embedding, *heads = text_tables(backend, weights_of(folder, backend)).items()
    name, before = embedding
    moved = (after[name] != before).flatten(1).any(1).nonzero().flatten().tolist()
    assert moved
    assert set(moved) <= set(info.new_tokens)
    for name, before in heads:
        assert torch.equal(after[name], before)


def test_a_run_starts_from_a_checkpoint_of_another_corpus(
    family: tuple[str, Path], corpus: Path, tmp_path: Path
) -> None:
    backend, folder = family
    train_from(corpus, tmp_path / "first", folder, backend, training={"max_steps": 2})
    other = make_corpus(tmp_path / "other", seed=5, train_items=8)
    (other / "tokenizer" / "tokenizer.json").unlink()  # the checkpoint brings its own
    start = open_init_weights(tmp_path / "first")
    assert start.backend == backend
    train_from(other, tmp_path / "second", start, backend, training={"max_steps": 2})
    first, second = (read_checkpoint(tmp_path / name).info for name in ("first", "second"))
    assert second.tokenizer_hash == first.tokenizer_hash
    assert second.new_tokens == first.new_tokens
    assert second.base_weights_license == first.base_weights_license
    assert "none" not in second.base_weights_license
    assert second.started_from.endswith(read_checkpoint(tmp_path / "first").folder.name)
    train_from(
        other, tmp_path / "second", None, backend, resume=True, model=start.model, training={"max_steps": 4}
    )
    with pytest.raises(CheckpointError, match=f"is of backend '{backend}', not 'chatterbox-mel'"):
        open_init_weights(tmp_path / "first", backend="chatterbox-mel")
    with pytest.raises(CheckpointError, match=r"has \d+ symbols and hash \w+, the one of .* \d+ and"):
        open_init_weights(tmp_path / "first", tokenizer=corpus / "tokenizer")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"type": "lora", "lora": {"targets": ["q_prj"]}}, "'q_prj' matches none of"),
        ({"freeze": {"modules": ["trnsformer"]}}, "no module 'trnsformer'"),
        ({"type": "embeddings-only", "freeze": {"modules": ["TABLES"]}}, "leave nothing to train"),
    ],
)
def test_what_would_train_nothing_is_refused(
    family: tuple[str, Path], corpus: Path, tmp_path: Path, training: dict[str, Any], message: str
) -> None:
    backend, folder = family
    if "TABLES" in training.get("freeze", {}).get("modules", ()):
        begun = ["speech", "speaker_table"] if backend == "indextts2" else []  # random, so trained
        tables = list(text_tables(backend, weights_of(folder, backend)))
        training = training | {"freeze": {"modules": [*tables, *begun]}}
    with pytest.raises(ConfigError, match=message):
        train_from(corpus, tmp_path / "run", folder, backend, training=training)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"type": "lora"}, "needs initial weights"),
        ({"type": "lora+new-tokens"}, "needs initial weights"),
        ({"freeze": {"original_tokens": True}}, "no new text rows"),
    ],
)
def test_types_need_something_to_start_from(
    corpus: Path, tmp_path: Path, training: dict[str, Any], message: str
) -> None:
    from tiny_voice import train_tiny

    with pytest.raises(ConfigError, match=message):
        train_tiny(corpus, tmp_path / "run", training=training)
    assert not (tmp_path / "run").exists()


def test_a_start_that_is_none(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(AmttsError, match="does not exist"):
        open_init_weights(tmp_path / "nowhere")
    with pytest.raises(AmttsError, match="no checkpoint of amtts and holds no vocab_report.json"):
        open_init_weights(corpus)
    with pytest.raises(AmttsError, match="cannot start from published weights"):
        open_init_weights(corpus, backend="chatterbox-mel")


def test_a_published_tokenizer_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = extended(tmp_path, "chatterbox")
    from amtts_core.tokenizers.factory import train_tokenizer

    train_tokenizer("fidel", []).save(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"other has \d+ symbols .* the one of .* \d+ and"):
        open_init_weights(folder, tokenizer=tmp_path / "other")
    (folder / "t3.safetensors").write_bytes((folder / "t3.safetensors").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_init_weights(folder)


def test_stored_tensors_are_plain_safetensors(family: tuple[str, Path], corpus: Path, tmp_path: Path) -> None:
    backend, folder = family
    train_from(corpus, tmp_path / "run", folder, backend, training={"type": "lora", "max_steps": 1})
    found = read_checkpoint(tmp_path / "run")
    assert set(load_file(found.folder / "model.safetensors")) == set(found.stored_weights())


def test_a_module_that_waits_stays_to_the_bit_and_then_learns_and_resuming_changes_nothing(
    corpus: Path, tmp_path: Path
) -> None:
    """With weight decay; the run is stopped before the module joins, and once it has."""
    training = {"save_every": 1, "keep": 9, "validate_every": 4, "optim": DECAYED}
    waiting = {**training, "freeze": {"modules": ["decoder"], "until": 2}}

    def learn(run: str, steps: int, *, resume: bool = False) -> dict[int, dict[str, torch.Tensor]]:
        train_tiny(corpus, tmp_path / run, resume=resume, training={**waiting, "max_steps": steps})
        folders = checkpoints_of(tmp_path / run)
        return {int(at.name[5:]): read_checkpoint(at).stored_weights() for at in folders}

    whole = learn("whole", 4)
    inside = [name for name in whole[1] if name.startswith("decoder.")]
    outside = [name for name in whole[1] if name not in inside and whole[1][name].is_floating_point()]
    assert inside
    assert all(same_bits(whole[1][name], whole[2][name]) for name in inside)
    assert any(not same_bits(whole[1][name], whole[2][name]) for name in outside)
    assert any(not same_bits(whole[2][name], whole[3][name]) for name in inside)
    learn("parts", 1)
    learn("parts", 3, resume=True)
    parts = learn("parts", 4, resume=True)
    assert all(same_bits(tensor, parts[4][name]) for name, tensor in whole[4].items())


def test_waiting_needs_a_module_that_is_there(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match="until is 3 and modules names nothing"):
        train_tiny(corpus, tmp_path / "run", training={"freeze": {"until": 3}})
    with pytest.raises(ConfigError, match="no module 'decodr'"):
        train_tiny(corpus, tmp_path / "run", training={"freeze": {"until": 3, "modules": ["decodr"]}})


def test_a_new_speaker_is_learnt_with_adapters_too(
    family: tuple[str, Path], corpus: Path, tmp_path: Path
) -> None:
    backend, folder = family
    if backend == "chatterbox":
        pytest.skip("its voices are heard, not learnt")
    train_from(corpus, tmp_path / "first", folder, backend, training={"max_steps": 1})
    two = make_corpus(tmp_path / "two", train_items=4, val_items=1, speakers=("ሀና", "በላይ"))
    start = open_init_weights(tmp_path / "first")
    optim = {"warmup_steps": 1, "learning_rate": 1e-2}
    train_from(
        two, tmp_path / "second", start, backend, training={"max_steps": 2, "type": "lora", "optim": optim}
    )
    voices = {"indextts2": "speaker_table.weight", "vits": "generator.embed_speaker.weight"}[backend]
    assert voices in read_checkpoint(tmp_path / "second").info.began_fresh
    rows = stored(tmp_path / "second")[voices]
    assert not torch.equal(rows[0], rows[1]), "both began as the same voice"
