"""Over official DACs of 24 and 44.1 kHz (tiny, by lot): recordings to speech at the codec's rate, by commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import call
from recordings import SENTENCES, speech, write_wav
from tiny_codecs import OFFICIAL, tiny_dac

from amtts_core.checkpoints.checkpoint import read_checkpoint

BOOKS = 9
"""Of the 32 of the 24 kHz model the first ones are learnt, as one should."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, lines = tmp_path_factory.mktemp("recordings"), []
    for number in range(4):
        name = f"wavs/{number}.wav"
        write_wav(folder / name, speech(number, seconds=1.0, rate=44100, silence=0.2), rate=44100)
        lines.append(f"{name}|{SENTENCES[number]}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def prepared(recordings: Path, out: Path, rate: int) -> Path:
    """A corpus at this rate, with a tokenizer."""
    done = call("prepare", recordings, "--out", out, "--sample-rate", rate, "--val", 0.25, "--test", 0)
    assert done.code == 0, done.err
    assert call("tokenize", "--data", out, "--kind", "fidel").code == 0
    return out


def settings(weights: Path) -> list[object]:
    """Options of `amtts train` for a tiny network over this codec."""
    values = {
        "codec": "dac",
        "codec_weights": weights,
        "head.kind": "dac",
        "head.num_codebooks": BOOKS,
        "head.cardinality": 1024,
    }
    options: list[object] = ["--backend", "indextts2", "--preset", "tiny", "--max-steps", 3, "--jobs", 1]
    for key, value in values.items():
        options += ["--set", f"model.{key}={value}"]
    return [*options, "--set", "training.sample_every=0", "--set", "training.tensorboard=false"]


@pytest.mark.parametrize(("rate", "hop"), [(24000, 320), (44100, 512)])
def test_recordings_become_a_voice_at_the_codecs_rate(
    recordings: Path, tmp_path: Path, rate: int, hop: int
) -> None:
    tiny_dac(sampling_rate=rate, **OFFICIAL[rate]).save_pretrained(tmp_path / "codec")
    data = prepared(recordings, tmp_path / "data", rate)
    encoding = ("encode-codes", data, "--weights", tmp_path / "codec", "--num-codebooks", BOOKS)
    done = call(*encoding, "--out", tmp_path / "codes", "--verify", 1, "--json")
    assert done.code == 0, done.err
    assert done.json()["codec"]["frame_rate"] == pytest.approx(rate / hop)
    assert "resampled" not in done.err
    run = tmp_path / "run"
    learning = ("train", "--data", data, "--codes", tmp_path / "codes", "--out", run)
    done = call(*learning, *settings(tmp_path / "codec"))
    assert done.code == 0, done.err
    assert read_checkpoint(run).info.sample_rate == rate
    speaking = ("synthesize", "--checkpoint", run, "--seed", 3, "ሰላም ለሁሉም።")
    assert call(*speaking, "--out", tmp_path / "whole.wav").code == 0
    whole, found = soundfile.read(tmp_path / "whole.wav", dtype="int16")
    assert found == rate
    assert 0.5 < len(whole) / rate < 3
    streamed = call(*speaking, "--out", "-")
    assert streamed.code == 0, streamed.err
    assert int.from_bytes(streamed.raw[24:28], "little") == rate
    pieces = np.frombuffer(streamed.raw[44:], "<i2").astype(int)
    assert len(pieces) == len(whole)
    assert np.abs(pieces - whole).max() <= 1
    checked = call("validate-e2e", "--data", data, "--checkpoint", run, "--json", "--overfit-steps", 5)
    assert checked.code == 0, checked.err
    assert {"audio", "features", "synthesis"} <= {check["name"] for check in checked.json()["checks"]}


def test_audio_of_a_lower_rate_and_codes_of_other_books_are_told(recordings: Path, tmp_path: Path) -> None:
    tiny_dac(sampling_rate=44100, **OFFICIAL[44100]).save_pretrained(tmp_path / "codec")
    data = prepared(recordings, tmp_path / "data", 22050)
    told = "stored at 22050 Hz or less and codec 'dac' needs 44100 Hz: they are resampled and hold nothing above 11025"
    encoding = ("encode-codes", data, "--weights", tmp_path / "codec", "--num-codebooks", 4)
    done = call(*encoding, "--out", tmp_path / "codes")
    assert done.code == 0, done.err
    assert told in done.err
    assert "amtts prepare --sample-rate 44100" in done.err
    learning = ("train", "--data", data, "--out", tmp_path / "run", *settings(tmp_path / "codec"))
    call(*learning, "--codes", tmp_path / "codes").refused("(4 x 1024)", "(9 x 1024)", "--num-codebooks 9")
    assert not (tmp_path / "run").exists()
    done = call(*learning, "--set", "training.max_steps=1")
    assert done.code == 0, done.err
    assert told.replace("codec 'dac'", "'indextts2'") in done.err
