"""`amtts prepare` as a user runs it: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recordings import add_line, make_corpus


def test_it_prints_the_balance_and_the_splits(tmp_path: Path, amtts):
    source = make_corpus(tmp_path / "in", 5)
    add_line(source, "none.wav|ጽሑፍ")
    done = amtts("prepare", source, "--out", tmp_path / "out", "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert "6 in = 5 kept + 1 dropped: 1 missing-file" in done.stdout
    again = amtts("prepare", source, "--out", tmp_path / "out", "--json")
    report = json.loads(again.stdout)
    assert (report["total"], report["kept"], report["dropped"], report["reused"]) == (6, 5, 1, 5)
    assert report["reasons"] == {"missing-file": 1}


def test_options_reach_the_corpus(tmp_path: Path, amtts):
    source = make_corpus(tmp_path / "in", 2)
    options = (
        "--sample-rate",
        16000,
        "--speaker",
        "አበበ",
        "--margin",
        0.1,
        "--set",
        "normalizer.fold_homophones=false",
    )
    done = amtts(
        "prepare", source / "metadata.csv", "--from", "csv", "--out", tmp_path / "out", *options, "--jobs", 1
    )
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "out/manifest.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (row["sample_rate"], row["speaker"]) == (16000, "አበበ")
    stored = json.loads((tmp_path / "out/prepare.json").read_text(encoding="utf-8"))["settings"]
    assert stored["normalizer"]["fold_homophones"] is False
    changed = amtts("prepare", source, "--out", tmp_path / "out")
    assert changed.returncode == 2
    assert "sample_rate is 16000 there and 22050 here" in changed.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none",), "none does not exist"),
        (("bare",), "holds no metadata.csv"),
        (("in", "--from", "kaldy"), "unknown importer 'kaldy'"),
        (("in", "--set", "loudnes=3"), "did you mean 'loudness'"),
        (("in", "--set", "loudness"), "expected key=value"),
        (("in", "--sample-rate", "5"), "sample_rate"),
        (("in", "--language", "xx"), "language 'xx'"),
        (("empty",), "is empty"),
        (("broken", "--jobs", "1"), "2 of 2 clips rejected, none is left: 2 unreadable"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, amtts, arguments: tuple[str, ...], said: str
):
    make_corpus(tmp_path / "in", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "empty/metadata.csv").touch()
    for wav in (make_corpus(tmp_path / "broken", 2) / "wavs").iterdir():
        wav.write_bytes(wav.read_bytes()[:2000])
    done = amtts("prepare", *arguments, "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_ctrl_c_leaves_a_state_that_goes_on(tmp_path: Path, amtts):
    source = make_corpus(tmp_path / "in", 240, seconds=4.0)
    command = [
        sys.executable,
        "-m",
        "amtts_cli",
        "prepare",
        str(source),
        "--out",
        str(tmp_path / "out"),
        "--jobs",
        "2",
    ]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    audio = tmp_path / "out/audio"
    while child.poll() is None and (not audio.exists() or len(list(audio.iterdir())) < 24):
        time.sleep(0.002)  # at most 16 clips are in flight, so some are in the journal by then
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "error: interrupted" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "out/manifest.jsonl").exists()
    report = json.loads(amtts("prepare", source, "--out", tmp_path / "out", "--json").stdout)
    assert report["kept"] == 240
    assert report["reused"] > 0


def test_the_bundled_corpus(tmp_path: Path, amtts):
    corpus = Path(__file__).parents[2] / "examples/corpus"
    if not (corpus / "metadata.csv").exists():
        pytest.skip("the bundled corpus is not in this checkout")
    lines = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()
    done = amtts("prepare", corpus, "--out", tmp_path / "out", "--json")
    report = json.loads(done.stdout)
    assert report["total"] == report["kept"] == len(lines) - 1
    assert report["warnings"] == []
    assert report["splits"]["val"]["utterances"] > 5
    assert 20 * 60 < report["seconds"] < 30 * 60
