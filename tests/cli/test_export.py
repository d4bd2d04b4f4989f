"""`amtts export`: a voice for other programs, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from tiny_voice import make_corpus, tiny_config
from transformers import VitsModel

from amtts_core.run.options import RunOptions
from amtts_core.run.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vits")
    data = make_corpus(folder / "data", train_items=4, val_items=1)
    config, kind = tiny_config("vits", training={"max_steps": 1})
    train(config, kind, RunOptions(data=data, run=folder / "run", jobs=1))
    return folder / "run"


def test_a_trained_voice_loads_in_plain_transformers(run: Path, tmp_path: Path) -> None:
    done = call("export", "--checkpoint", run, "--format", "hf", "--out", tmp_path / "voice", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert {"config.json", "model.safetensors"} <= set(said["files"])
    model, loading = VitsModel.from_pretrained(tmp_path / "voice", output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.sampling_rate == 16000


def test_an_unknown_format_names_the_known_ones(run: Path, tmp_path: Path) -> None:
    done = call("export", "--checkpoint", run, "--format", "mp3", "--out", tmp_path / "voice")
    assert done.code == 2
    assert "known formats: hf, onnx, piper, sherpa-onnx" in done.err


def test_a_full_folder_is_not_written_over(run: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    done = call("export", "--checkpoint", run, "--format", "hf", "--out", tmp_path)
    assert done.code == 2
    assert "not an empty folder" in done.err
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]


def test_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    done = call("export", "--checkpoint", tmp_path / "none", "--format", "hf", "--out", tmp_path / "voice")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
