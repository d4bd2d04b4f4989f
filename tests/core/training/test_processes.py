"""Two processes under torchrun, on CPUs with gloo, against one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from amtts_core.checkpoint import read_checkpoint
from amtts_core.training.sample_ledger import read_ledger

CHILD = Path(__file__).resolve().parents[2] / "support/processes_child.py"
SETTINGS = (
    *("data.max_utterances=3", "data.batch_frames=3000", "training.sample_every=0"),
    *("training.tensorboard=false", "training.validate_every=2", "training.save_every=2"),
)


def train(
    corpus: Path,
    run: Path,
    *,
    backend: str,
    processes: int,
    stop: str = "",
    settings: Sequence[str] = (),
    **training: int,
) -> str:
    """Trains with nothing random in a step; returns what it printed. Resumes a run that is there."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += [str(CHILD), "train", "--data", str(corpus), "--out", str(run), "--backend", backend]
    command += ["--preset", "tiny", "--jobs", "1", "--set", f"data.cache={run}-features"]
    if (run / "latest").exists():
        command.append("--resume")
    for setting in [*SETTINGS, *settings, *(f"training.{k}={v}" for k, v in training.items())]:
        command += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AMTTS_STOP_RANK": stop or "none"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("backend", ["chatterbox-mel", pytest.param("vits", marks=pytest.mark.slow)])
def test_two_processes_equal_one(corpus: Path, tmp_path: Path, backend: str) -> None:
    """Two processes with a batch each make the step of one process that accumulates both batches."""
    train(corpus, tmp_path / "one", backend=backend, processes=1, accumulate=2, max_steps=4)
    shown = train(corpus, tmp_path / "two", backend=backend, processes=2, accumulate=1, max_steps=4)
    assert shown.count("finished at step 4") == 1, "one process speaks"
    one, two = (read_checkpoint(tmp_path / name, prefer="latest") for name in ("one", "two"))
    for name, tensor in one.weights().items():
        difference = (tensor.double() - two.weights()[name].double()).abs()
        assert not difference.numel() or float(difference.max()) <= 1e-5, name
    for name, value in one.info.metrics.items():
        assert two.info.metrics[name] == pytest.approx(value, abs=1e-5), name
    rows = [read_ledger(tmp_path / "two" / name) for name in ("samples.jsonl", "samples-1.jsonl")]
    both = [sorted([*a["ids"], *b["ids"]]) for a, b in zip(*rows, strict=True)]  # type: ignore[misc]
    assert both == [sorted(row["ids"]) for row in read_ledger(tmp_path / "one/samples.jsonl")]  # type: ignore[call-overload]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_the_rest_is_resumed_on_one(
    corpus: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shown = train(corpus, run, backend="chatterbox-mel", processes=2, stop="1", max_steps=6)
    assert "stopped on another process at step 2" in shown
    train(corpus, run, backend="chatterbox-mel", processes=1, max_steps=6)


@pytest.mark.slow
def test_shards_that_do_not_divide_do_not_hang(corpus: Path, tmp_path: Path) -> None:
    """Eleven utterances in batches of one, for two processes: the last batch of one process is empty."""
    run = tmp_path / "run"
    cut = ("data.max_samples=11", "data.max_utterances=1")
    train(corpus, run, backend="chatterbox-mel", processes=2, settings=cut, max_steps=0, max_epochs=2)
    rows = [row for name in ("samples.jsonl", "samples-1.jsonl") for row in read_ledger(run / name)]
    assert set(Counter(name for row in rows for name in row["ids"]).values()) == {2}  # type: ignore[attr-defined]
