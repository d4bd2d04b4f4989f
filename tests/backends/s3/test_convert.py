"""`amtts convert` and `amtts voice`: other recordings in a voice, and voices kept under a name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command_line import Done, call
from tiny_s3 import official_folder, write_voice
from tiny_voice import make_corpus

from amtts_chatterbox.s3.voices import read_conditions
from amtts_core.audio.io import read_audio
from amtts_core.checkpoints.checkpoint import read_checkpoint

TEXT = "ሰላም ለዓለም።"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    official_folder(home / "weights")
    write_voice(home / "almaz.wav", pitch=210)
    write_voice(home / "in.wav", seconds=2.3, pitch=100)
    return home


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    corpus = make_corpus(home / "corpus", train_items=4, val_items=2)
    done = call(
        *("train", "--backend", "chatterbox", "--preset", "tiny", "--data", corpus, "--max-steps", 1),
        *("--set", "model.codec=s3", "--set", f"model.codec_weights={home / 'weights'}"),
        *("--set", "training.validate_every=1", "--out", home / "run"),
    )
    assert done.code == 0, done.err
    return home / "run"


def convert(home: Path, *options: object) -> Done:
    return call("convert", "--weights", home / "weights", "--voice", home / "almaz.wav", *options)


def test_a_recording_keeps_its_length_and_gets_another_voice(home: Path, tmp_path: Path) -> None:
    told = convert(home, home / "in.wav", "--out", tmp_path / "out.wav", "--json").json()
    wave = read_audio(tmp_path / "out.wav", sample_rate=24000)
    assert abs(len(wave) / 24000 - 2.3) < 0.05
    assert told["files"][0]["seconds"] == pytest.approx(len(wave) / 24000, abs=0.01)
    assert float(np.abs(wave).max()) > 0.01
    again = convert(home, home / "in.wav", "--out", tmp_path / "again.wav")
    assert again.code == 0
    assert (tmp_path / "again.wav").read_bytes() == (tmp_path / "out.wav").read_bytes()


def test_a_folder_is_converted_and_what_cannot_be_read_is_told(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_voice(folder / "b.wav", seconds=1.0)
    write_voice(folder / "a.wav", seconds=0.8)
    (folder / "c.wav").write_bytes(b"no audio")
    soundfile.write(folder / "d.wav", np.zeros(20, np.float32), 16000)
    (folder / "notes.txt").write_text("no audio")
    done = convert(home, folder, "--out", tmp_path / "out", "--json")
    assert done.code == 1
    told = json.loads(done.out)
    assert [Path(row["path"]).name for row in told["files"]] == ["a.wav", "b.wav"]
    assert sorted(Path(name).name for name in told["failed"]) == ["c.wav", "d.wav"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.wav", "b.wav"]


def test_nothing_is_replaced(home: Path, tmp_path: Path) -> None:
    (tmp_path / "out.wav").write_bytes(b"mine")
    convert(home, home / "in.wav", "--out", tmp_path / "out.wav").refused("exists and is not replaced")
    convert(home, home / "in.wav", home / "in.wav", "--out", tmp_path / "out").refused("would both become")
    convert(home, home / "in.wav", home / "almaz.wav", "--out", tmp_path / "x.wav").refused("is one file")
    assert (tmp_path / "out.wav").read_bytes() == b"mine"
    assert not (tmp_path / "out").exists()


def test_mistakes_are_one_line(home: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out.wav")
    convert(home, home / "nobody.wav", *out).refused("does not exist")
    call("convert", "--voice", home / "almaz.wav", home / "in.wav", *out).refused("--weights")
    other = ("convert", "--weights", home / "weights", home / "in.wav", *out)
    call(*other, "--voice", home / "nobody.wav").refused("nobody.wav")
    dac = call(*other, "--voice", home / "almaz.wav", "--codec", "dac")
    assert dac.code == 2
    assert not (tmp_path / "out.wav").exists()


def test_a_kept_voice_speaks_by_its_name(home: Path, run: Path, tmp_path: Path) -> None:
    kept = call("voice", "--checkpoint", run, "--name", "አልማዝ", home / "almaz.wav", "--json").json()
    assert Path(kept["file"]) == run / "voices" / "አልማዝ.pt"
    assert call("voice", "--checkpoint", run, "--json").json()["voices"] == {"አልማዝ": kept["file"]}
    speak = ("synthesize", "--checkpoint", run, TEXT, "--set", "model.sampling.retries=0", "--out")
    assert call(*speak, tmp_path / "a.wav", "--voice", "አልማዝ").code == 0
    assert call(*speak, tmp_path / "b.wav", "--voice", home / "almaz.wav").code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    convert_by_name = call(
        "convert", "--checkpoint", run, "--voice", "አልማዝ", home / "in.wav", "--out", tmp_path / "c.wav"
    )
    assert convert_by_name.code == 0, convert_by_name.err
    call(*speak, tmp_path / "d.wav", "--voice", "አልማዛ").refused("did you mean 'አልማዝ'")
    call("voice", "--checkpoint", run, "--name", "አልማዝ", home / "almaz.wav").refused("is there")
    call("voice", "--checkpoint", run, "--name", "../x", home / "almaz.wav").refused("expected letters")
    assert stored_shapes(Path(kept["file"])) == [1, 256]


def stored_shapes(path: Path) -> list[int]:
    assert read_conditions(path).speaker is not None
    return list(torch.load(path, weights_only=True)["t3"]["speaker_emb"].shape)


def test_a_voice_in_a_checkpoint_folder_is_sealed_with_it(home: Path, run: Path, tmp_path: Path) -> None:
    import shutil

    alone = Path(shutil.copytree(read_checkpoint(run).folder, tmp_path / "checkpoint"))
    call("voice", "--checkpoint", alone, "--name", "kebede", home / "in.wav", "--json").json()
    read_checkpoint(alone)  # its list of files is whole again
    assert call("voice", "--checkpoint", alone, "--json").json()["voices"] == {
        "kebede": str(alone / "voices" / "kebede.pt")
    }
    (alone / "voices" / "kebede.pt").write_bytes(b"changed")
    call("synthesize", "--checkpoint", alone, TEXT, "--out", tmp_path / "a.wav").refused("is damaged")
