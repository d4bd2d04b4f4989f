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


def test_a_voice_to_hand_on_speaks_alike_and_has_no_training_state(run: Path, tmp_path: Path) -> None:
    import hashlib

    import numpy as np

    import amtts

    text = "ለመሰረ በተነአ።"
    done = call("export", "--checkpoint", run, "--format", "voice", "--out", tmp_path / "voice")
    assert done.code == 0, done.err
    assert not list((tmp_path / "voice").glob("training.*"))
    card = (tmp_path / "voice/README.md").read_text(encoding="utf-8")
    assert "Consent of the speakers" in card
    for line in (tmp_path / "voice/SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "voice" / name).read_bytes()).hexdigest() == digest
    ours = amtts.load(run).speak(text)
    assert np.array_equal(amtts.load(tmp_path / "voice").speak(text).samples, ours.samples)
    (tmp_path / "voice/README.md").write_text("mine")
    (tmp_path / "voice/LICENSE").write_text("mine")
    amtts.load(tmp_path / "voice")
    (tmp_path / "voice/strange.safetensors").write_bytes(b"x")
    with pytest.raises(amtts.AmttsError, match="is not listed"):
        amtts.load(tmp_path / "voice")
    done = call("export", "--checkpoint", run, "--format", "voice", "--half", "--out", tmp_path / "half")
    assert done.code == 0, done.err
    whole, half = (tmp_path / n / "model.safetensors" for n in ("voice", "half"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert len(amtts.load(tmp_path / "half").speak(text).samples) > 0
    call("export", "--checkpoint", run, "--format", "hf", "--half", "--out", tmp_path / "no").refused(
        "--half"
    )


def test_a_checkpoint_without_its_two_training_files_speaks(run: Path, tmp_path: Path) -> None:
    import shutil

    import amtts

    slim = shutil.copytree(run, tmp_path / "slim")
    for path in slim.rglob("training.*"):
        path.unlink()
    amtts.load(slim).check("ለመሰረ")
