"""The flow learns from recordings; the rest stays; a run is a codec, and an export is read as published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file
from tiny_s3 import SIZES, official_folder, tiny_weights, write_voice
from tiny_voice import make_corpus, tiny_backend, tiny_examples

from amtts_chatterbox.s3.codec import S3Codec
from amtts_chatterbox.s3.learner import FlowPass, S3GenLearner
from amtts_chatterbox.s3.weights import load_s3gen
from amtts_core.checkpoints.checkpoint import read_checkpoint


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    official_folder(home / "weights")
    make_corpus(home / "corpus", train_items=5, val_items=2)
    write_voice(home / "in.wav", seconds=1.2)
    return home


def train(home: Path, run: Path, *options: object, start: str = "weights") -> object:
    quick = ("--set", "training.validate_every=4", "--set", "training.optim.warmup_steps=1", "--max-steps", 4)
    return call(
        *("train", "--backend", "s3gen", "--from", home / start, "--data", home / "corpus", "--out", run),
        *(*quick, "--set", "training.optim.learning_rate=0.01", *options),
    )


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    done = train(home, home / "run")
    assert done.code == 0, done.err
    return home / "run"


def test_only_the_flow_moves(home: Path, run: Path) -> None:
    before, after = load_s3gen(home / "weights").state_dict(), read_checkpoint(run).weights()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all(name.startswith("flow.") for name in moved)
    assert {
        "flow.encoder_proj.weight",
        "flow.estimator.final_proj.weight",
        "flow.input_embedding.weight",
    } <= moved


def test_the_encoder_can_stay(home: Path, tmp_path: Path) -> None:
    done = train(home, tmp_path / "run", "--set", "model.train_encoder=false")
    assert done.code == 0, done.err
    before, after = load_s3gen(home / "weights").state_dict(), read_checkpoint(tmp_path / "run").weights()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert all(name.startswith(("flow.estimator.", "flow.spk_embed")) for name in moved)


def test_a_run_is_a_codec_with_the_same_tokens(home: Path, run: Path, tmp_path: Path) -> None:
    tuned, published = S3Codec.open(run), S3Codec.open(home / "weights")
    assert tuned.weights_hash == published.weights_hash
    for number, weights in enumerate((run, home / "weights")):
        done = call(
            *("convert", "--weights", weights, "--voice", home / "in.wav", home / "in.wav"),
            *("--out", tmp_path / f"{number}.wav"),
        )
        assert done.code == 0, done.err
    assert (tmp_path / "0.wav").read_bytes() != (tmp_path / "1.wav").read_bytes()


def test_an_export_has_the_published_names(home: Path, run: Path, tmp_path: Path) -> None:
    done = call("export", "--checkpoint", run, "--format", "chatterbox", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    written = load_file(tmp_path / "out" / "s3gen.safetensors")
    assert {name: t.shape for name, t in written.items()} == {
        name: t.shape for name, t in tiny_weights().items()
    }
    again, own = load_s3gen(tmp_path / "out").state_dict(), read_checkpoint(run).weights()
    assert all(torch.allclose(again[name], own[name], atol=1e-6) for name in own)


def test_a_mean_flow_is_not_undone(home: Path, tmp_path: Path) -> None:
    save_file(tiny_weights(replace(SIZES, mean_flow=True)), tmp_path / "s3gen_meanflow.safetensors")
    call(
        *("train", "--backend", "s3gen", "--from", tmp_path / "s3gen_meanflow.safetensors"),
        *("--data", home / "corpus", "--out", tmp_path / "run"),
    ).refused("holds a mean flow")


def test_without_weights_it_says_how_to_start(home: Path, tmp_path: Path) -> None:
    command = (
        "train",
        "--backend",
        "s3gen",
        "--preset",
        "tiny",
        "--data",
        home / "corpus",
        "--out",
        tmp_path / "run",
    )
    call(*command).refused("--from s3gen.safetensors")


def test_validation_has_no_chance_in_it() -> None:
    backend = tiny_backend("s3gen")
    batch = backend.collate(tiny_examples(backend, 3))
    backend.network.eval()
    with torch.no_grad():
        first, second = (float(next(iter(backend.learner().losses(batch))).total) for _ in range(2))
    assert first == second
    backend.network.train()
    with torch.no_grad():
        drawn = {float(next(iter(backend.learner().losses(batch))).total) for _ in range(3)}
    assert len(drawn) == 3


def test_batch_norms_stay_while_it_trains() -> None:
    backend = tiny_backend("s3gen")
    backend.network.train()
    assert backend.network.flow.training
    frozen = (backend.network.tokenizer, backend.network.speaker_encoder, backend.network.vocoder)
    assert not any(module.training for part in frozen for module in part.modules())


def test_the_perfect_velocity_has_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is what leads noise to the recording: an estimator that says so is right at every time."""
    backend = tiny_backend("s3gen")
    batch = backend.collate(tiny_examples(backend, 2, letters=[4, 9]))
    learner = S3GenLearner(backend.network, backend.config)
    draws = learner._fixed(batch)
    flow = backend.network.flow
    monkeypatch.setattr(
        type(flow), "velocity", lambda self, noisy, time, told: batch["mels"] - (1 - 1e-6) * draws.noise
    )
    errors = FlowPass(flow)(batch, draws)
    assert float(errors.abs().max()) == 0
    time = draws.times[:, None, None]
    noisy = (1 - (1 - 1e-6) * time) * draws.noise + time * batch["mels"]
    left = (1 - time) * (batch["mels"] - (1 - 1e-6) * draws.noise)
    assert torch.allclose(noisy + left, batch["mels"] + 1e-6 * draws.noise, atol=1e-4)
