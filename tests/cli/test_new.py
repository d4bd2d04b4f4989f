"""`amtts new`: from recordings to a voice that speaks; its questions, refusals, and going on where it stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from command_line import Done, call
from recordings import add_line, make_corpus
from tiny_voice import make_corpus as prepared_corpus
from tiny_voice import train_tiny

from amtts_cli.propose import MOST_STEPS, STEPS, Hardware, propose
from amtts_core.errors import AmttsError

CPU = Hardware(cores=2)
FEW_STEPS = (
    *(
        "--set",
        "training.max_steps=2",
        "--set",
        "training.validate_every=2",
        "--set",
        "training.save_every=1",
    ),
    *(
        "--set",
        "training.sample_every=0",
        "--set",
        "training.tensorboard=false",
        "--set",
        "training.patience=0",
    ),
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run to start from."""
    place = tmp_path_factory.mktemp("start")
    train_tiny(prepared_corpus(place / "corpus"), place / "run")
    return place / "run"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "recordings", 12)


def lines_of(script: Path) -> list[str]:
    return [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("amtts ")]


def test_from_an_archive_to_speech_and_again(tmp_path: Path, source: Path, start: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "recordings"), "zip", source))
    shutil.rmtree(source)
    folder = tmp_path / "my-voice"
    words = (
        "new",
        folder,
        "--recordings",
        archive,
        "--start",
        start,
        "--text",
        "ሰላም",
        "--license",
        "CC0-1.0",
    )
    done = call(*words, "--yes", *FEW_STEPS)
    assert done.code == 0, done.err
    assert "read as: metadata.csv: 1 audio, 2 text" in done.err
    assert "12 clips, 0.3 minutes" in done.err
    assert "12 in = 12 kept" in done.out
    samples, _ = soundfile.read(folder / "hello.wav")
    assert len(samples) > 1000
    assert abs(samples).max() > 0
    prepare, train, speak = lines_of(folder / "commands.sh")
    assert prepare == f"amtts prepare {archive} --out data --license CC0-1.0"
    assert train == f"amtts train --config config.yaml --data data --out run --from {start}"
    assert speak == "amtts synthesize --checkpoint run 'ሰላም' --out hello.wav"
    assert not (folder / "data/unpacked").exists()
    before = (folder / "hello.wav").stat().st_mtime_ns
    again = call("new", folder, "--json")
    assert again.json()["speech"] == str(folder / "hello.wav")
    assert "train: done before" in again.err
    assert (folder / "hello.wav").stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_commands_can_be_run_by_hand(tmp_path: Path, source: Path, start: Path) -> None:
    folder = tmp_path / "v"
    assert call("new", folder, "--recordings", source, "--start", start, "--yes", *FEW_STEPS).code == 0
    for made in ("data", "run"):
        shutil.rmtree(folder / made)
    (folder / "hello.wav").unlink()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "amtts").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m amtts_cli "$@"\n')
    (programs / "amtts").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    subprocess.run(
        [folder / "commands.sh"], check=True, env={**os.environ, "PATH": path}, capture_output=True
    )
    assert (folder / "hello.wav").stat().st_size > 1000


@pytest.mark.slow
def test_ctrl_c_in_training_and_the_same_command_goes_on(tmp_path: Path, source: Path, start: Path) -> None:
    folder = tmp_path / "v"
    words = ["new", folder, "--recordings", source, "--start", start, "--yes", *FEW_STEPS]
    words += ["--set", "training.max_steps=100000"]
    command = [sys.executable, "-m", "amtts_cli", *map(str, words)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not any((folder / "run/checkpoints").glob("step-*")) and time.monotonic() < deadline:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert not (folder / "hello.wav").exists()
    assert json.loads((folder / "new.json").read_text(encoding="utf-8"))["done"] == ["prepare"]
    step = max(int(path.name.removeprefix("step-")) for path in (folder / "run/checkpoints").glob("step-*"))
    stored = (folder / "run/config.yaml").read_text(encoding="utf-8")
    (folder / "run/config.yaml").write_text(
        re.sub(r"max_steps: 100000", f"max_steps: {step + 1}", stored), encoding="utf-8"
    )
    done = call("new", folder)
    assert done.code == 0, done.err
    assert "prepare: done before" in done.err
    assert f"from step {step}" in done.err
    assert (folder / "hello.wav").is_file()


def test_a_dry_run_prints_the_commands_and_writes_nothing(tmp_path: Path, source: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", source))
    done = call("new", tmp_path / "v", "--recordings", archive, "--dry-run")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-3:] == [
        f"amtts prepare {archive} --out data",
        "amtts train --config config.yaml --data data --out run --from base",
        "amtts synthesize --checkpoint run 'ሰላም ለዓለም።' --out hello.wav",
    ]
    assert "max_steps: 600" in done.out
    assert not (tmp_path / "v").exists()
    scratch = call(
        "new", tmp_path / "v", "--recordings", source, "--start", "scratch", "--dry-run", "--json"
    ).json()
    assert "amtts tokenize --data data" in scratch["commands"]
    assert scratch["settings"]["backend"] == "chatterbox-mel"


def asked(tmp_path: Path, *answers: str, options: tuple[object, ...] = ()) -> Done:
    stdin = "".join(f"{answer}\n" for answer in answers)
    return call("new", tmp_path / "v", *options, stdin=stdin, terminal=True)


def test_a_person_is_asked_and_may_correct_the_columns(tmp_path: Path) -> None:
    source = make_corpus(tmp_path / "recordings", 6, header="")
    table = source / "metadata.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("".join(f"{row}|ሌላ ጽሑፍ {n} ነው\n" for n, row in enumerate(rows)), encoding="utf-8")
    done = asked(tmp_path, str(source), "audio=1,text=3", "audio=1,text=9", "", "said yes in person", "n")
    assert done.code == 0, done.err
    assert "Where are the recordings?" in done.err + done.out
    assert "which one is spoken cannot be told" in done.err
    assert "1 audio, 2 not used, 3 text" in done.err
    assert "--columns text=9: " in done.err, "a wrong correction is told, and the last good one counts"
    assert "nothing was written" in done.err
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "`amtts new` needs recordings"),
        (("--recordings", "none", "--yes"), "--recordings none does not exist"),
        (("--recordings", "recordings"), "Add --yes"),
        (
            ("--recordings", "recordings", "--yes", "--start", "bse"),
            "--start bse is neither base nor scratch",
        ),
        (("--recordings", "recordings", "--yes", "--columns", "text=7"), "--columns text=7"),
        (("--recordings", "recordings", "--yes", "--set", "training.max_stepz=1"), "did you mean"),
        (
            ("--recordings", "recordings", "--yes", "--start", "base", "--language", "ti"),
            "the base voice speaks Amharic",
        ),
        (("--recordings", "gone", "--yes"), "no clip can be read"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/metadata.csv").write_text("audio_file|text\nnone.wav|ሰላም\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    call("new", "v", *words).refused(said)
    assert not (tmp_path / "v").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, source: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/notes.txt").write_text("mine")
    call("new", tmp_path / "v", "--recordings", source, "--yes").refused("was not begun by `amtts new`")
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["notes.txt"]
    (tmp_path / "v/new.json").write_text("{}")
    call("new", tmp_path / "v").refused("new.json cannot be read")


def test_other_answers_are_refused_and_a_failed_step_is_tried_again(
    tmp_path: Path, source: Path, start: Path
) -> None:
    add_line(source, "none.wav|ጽሑፍ")
    folder = tmp_path / "v"
    rates = ("--recordings", source, "--start", start, "--yes", *FEW_STEPS)
    broken = source / "wavs"
    for wav in broken.iterdir():
        wav.rename(wav.with_suffix(".wav.bak"))
        wav.write_bytes(wav.with_suffix(".wav.bak").read_bytes()[:2000])
    failed = call("new", folder, *rates)
    assert failed.code == 2
    assert "clips rejected" in failed.err
    for backup in broken.glob("*.bak"):
        backup.replace(backup.with_suffix(""))
    call("new", folder, "--recordings", start).refused("was begun with --recordings")
    call("new", folder, "--set", "training.max_steps=9").refused("config.yaml")
    done = call("new", folder)
    assert done.code == 0, done.err
    assert "13 in = 12 kept" in done.out


def test_settings_follow_from_minutes_and_machine() -> None:
    few = propose(6 * 60, CPU)
    assert few.start == "base"
    assert few.settings == {"training": {"max_steps": STEPS}}
    assert (
        few.said
        == "6.0 minutes of speech, no GPU, 2 CPU cores: start from the base voice, at most 600 steps, "
        + ("about 15 minutes")
    )
    assert propose(6 * 60, Hardware(cores=1)).minutes == 25, "one core takes twice as long"
    assert "record more" in propose(60, CPU).notes[0]
    assert propose(5 * 3600, CPU).settings == {"training": {"max_steps": MOST_STEPS}}
    gpu = propose(2 * 3600, Hardware(8, "NVIDIA X", 24 << 30))
    assert gpu.minutes is None
    assert any("Chatterbox" in note for note in gpu.notes)
    other = propose(6 * 60, CPU, language="ti")
    assert other.start == "scratch"
    assert other.notes
    with pytest.raises(AmttsError, match="--start scratch"):
        propose(60, CPU, language="ti", start="base")
