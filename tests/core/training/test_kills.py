"""The kill harness itself, in short, and what it found: pointers and folders that a kill leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tiny_voice import train_tiny

from amtts_core.checkpoints.checkpoint import checkpoints_of, read_checkpoint
from amtts_core.contract.registry import backend_names

ROOT = Path(__file__).resolve().parents[3]


def survive(*backends: str, kills: int) -> None:
    command = [sys.executable, str(ROOT / "scripts/kill_test.py"), "--kills", str(kills), "--seed", "11"]
    command += ["--steps", "6", "--per-run", str(kills)]
    for backend in backends:
        command += ["--backend", backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [row.split("|")[1].strip() for row in rows] == list(backends)
    assert all(int(row.split("|")[3]) >= kills for row in rows), "so many kills struck"


SLOWER = ("dac", "vits")
"""Two groups of about the same time; a process each, which imports everything once."""


def test_killed_trainings_end_as_undisturbed_ones() -> None:
    survive(*(name for name in backend_names() if name not in SLOWER), kills=6)


def test_killed_trainings_of_two_networks_end_as_undisturbed_ones() -> None:
    survive(*SLOWER, kills=6)


def test_pointers_that_a_kill_left_behind_are_moved_on_resume(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(corpus, run)
    best, latest = (run / "best").read_text(), (run / "latest").read_text()
    (run / "best").write_text("step-00000003\n")
    (run / "latest").write_text("step-00000003\n")
    train_tiny(corpus, run, resume=True)
    assert ((run / "best").read_text(), (run / "latest").read_text()) == (best, latest)
    read_checkpoint(run)


def test_a_checkpoint_that_was_being_replaced_comes_back(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(corpus, run)
    for folder in checkpoints_of(run):
        folder.rename(folder.with_name(f".{folder.name}.old"))
    assert train_tiny(corpus, run, resume=True).outcome.step == 6


def test_a_half_written_line_of_the_log_is_cut_off(corpus: Path, tmp_path: Path) -> None:
    import json

    run = tmp_path / "run"
    train_tiny(corpus, run, training={"max_steps": 3})
    with (run / "metrics.jsonl").open("a") as handle:
        handle.write('{"kind": "st')
    train_tiny(corpus, run, resume=True)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["kind"] == "end"
