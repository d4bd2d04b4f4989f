"""Two processes under torchrun, on CPUs with gloo, against one: dropout, noise and codebooks included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from command_line import call
from tiny_voice import assignments

from amtts_cli.app import main
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.registry import backend_names
from amtts_core.storage.json_lines import read_json_lines

CHILD = str(Path(__file__).resolve().parents[2] / "support/processes_child.py")
AMTTS = ("-m", "amtts_cli")
SETTINGS = (
    *("data.max_utterances=3", "data.batch_seconds=35", "training.sample_every=0"),
    *("training.tensorboard=false", "training.validate_every=2", "training.save_every=2"),
)


def arguments(
    corpus: Path,
    run: Path,
    *,
    backend: str = "chatterbox-mel",
    settings: Sequence[str] = (),
    **training: float,
) -> list[str]:
    """Of `amtts`; resumes a run that is there."""
    words = ["train", "--data", str(corpus), "--out", str(run), "--backend", backend, "--jobs", "1"]
    words += ["--set", f"data.cache={run.parent}/features-{backend}"]
    if (run / "latest").exists():
        words.append("--resume")
    for setting in [*SETTINGS, *settings, *(f"training.{k}={v}" for k, v in training.items())]:
        words += ["--set", setting]
    return [*words, *assignments(backend)]


def two(words: Sequence[str], *, program: Sequence[str] = AMTTS) -> str:
    """`torchrun --nproc_per_node 2 PROGRAM WORDS`; returns what was printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *program, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,  # of a hang; a busy machine takes minutes
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def one(words: Sequence[str]) -> None:
    """The same command in this process."""
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert left.value.code == 0


def assert_close(left: Path, right: Path, tolerance: float = 1e-5) -> None:
    """The same weights, average, moments and metrics in the last checkpoints of two runs."""
    found = [read_checkpoint(run, prefer="latest") for run in (left, right)]
    for tensors in ([f.weights() for f in found], [f.training_tensors() for f in found]):
        assert tensors[0].keys() == tensors[1].keys()
        for name, tensor in tensors[0].items():
            difference = (tensor.double() - tensors[1][name].double()).abs()
            assert not difference.numel() or float(difference.max()) <= tolerance, name
    for name, value in found[0].info.metrics.items():
        assert found[1].info.metrics[name] == pytest.approx(value, abs=tolerance), name


SPLIT = ("chatterbox", "indextts2")
"""Backends whose network is split too, with a loss that reads one block's weights from outside."""


@pytest.fixture(scope="module")
def pairs(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Backend -> its run on one process with two batches a step, and on two with one each; "split NAME" -> that with
    four, and on a network split over two with two each. One torchrun for all."""
    folder, found, words = tmp_path_factory.mktemp("pairs"), {}, list[str]()
    for backend in backend_names():
        found[backend] = (folder / f"{backend}-1", folder / f"{backend}-2")
        settings = {"backend": backend, "max_steps": 4, "ema_decay": 0.9}
        one(arguments(corpus, found[backend][0], accumulate=2, **settings))  # type: ignore[arg-type]
        words += ["//"] * bool(words)
        words += arguments(corpus, found[backend][1], accumulate=1, **settings)  # type: ignore[arg-type]
    for backend in SPLIT:
        found[f"split {backend}"] = (folder / f"{backend}-1-whole", folder / f"{backend}-2-split")
        cut: tuple[str, ...] = ("data.max_samples=11", "data.max_utterances=1", "model.alignment_weight=0.1")
        learn = partial(arguments, corpus, backend=backend, max_steps=4, ema_decay=0.9)
        one(learn(found[f"split {backend}"][0], settings=cut, accumulate=4))
        cut = (*cut, "training.shard=true", "training.sample_every=3")
        words += ["//", *learn(found[f"split {backend}"][1], settings=cut, accumulate=2)]
    shown = two(words, program=[CHILD])
    assert shown.count("finished at step 4") == len(found), "one process speaks"
    assert shown.count("the network is split over 2 processes") == len(SPLIT)
    return found


@pytest.mark.parametrize("backend", backend_names())
def test_two_processes_equal_one(pairs: dict[str, tuple[Path, Path]], backend: str) -> None:
    """Two processes with a batch each make the step of one process that accumulates both batches."""
    left, right = pairs[backend]
    assert_close(left, right)
    assert (left / "seen_utterances.jsonl").read_bytes() == (right / "seen_utterances.jsonl").read_bytes()
    assert {p.name for p in left.iterdir()} == {p.name for p in right.iterdir()}, "one process writes"


@pytest.mark.parametrize("backend", SPLIT)
def test_a_split_network_learns_what_a_whole_one_does(
    pairs: dict[str, tuple[Path, Path]], corpus: Path, tmp_path: Path, backend: str
) -> None:
    """FSDP2, with batches that do not divide; its checkpoint holds whole tensors, with which one process goes on."""
    whole, split = pairs[f"split {backend}"]
    assert_close(whole, split)
    assert (whole / "seen_utterances.jsonl").read_bytes() == (split / "seen_utterances.jsonl").read_bytes()
    assert {path.name for path in split.glob("samples/*.wav")} == {
        "step-00000003-0.wav",
        "step-00000004-0.wav",
    }
    for number, run in enumerate((whole, split)):
        copy = Path(shutil.copytree(run, tmp_path / f"run-{number}"))
        words = arguments(corpus, copy, backend=backend, accumulate=4, max_steps=5)
        one([*words, "--set", "training.shard=false"])
    assert_close(tmp_path / "run-0", tmp_path / "run-1")


def test_what_does_not_go_together_with_a_split_network(corpus: Path, tmp_path: Path) -> None:
    split = ("--set", "training.shard=true")
    data = ("train", "--data", corpus, "--out", tmp_path / "run", "--backend", "chatterbox-mel")
    call(*data, *split, "--auto-batch").refused("training.shard and --auto-batch exclude each other")
    call(*data, *split, "--set", "training.precision=fp16").refused("training.precision fp16")


def test_the_number_of_processes_changes_within_an_epoch(corpus: Path, tmp_path: Path) -> None:
    """One process, then two, then one again: the steps, the weights and the ledger of one process throughout."""
    whole, run = tmp_path / "whole", tmp_path / "changed"
    cut = ("data.max_samples=11", "data.max_utterances=1")  # an epoch of eleven batches: two a step, then one
    one(arguments(corpus, whole, settings=cut, accumulate=2, max_steps=7, save_every=1))
    for processes, steps in ((1, 2), (2, 4), (1, 7)):
        words = arguments(corpus, run, settings=cut, accumulate=2 // processes, max_steps=steps, save_every=1)
        two(words) if processes == 2 else one(words)
    assert (whole / "seen_utterances.jsonl").read_bytes() == (run / "seen_utterances.jsonl").read_bytes()
    first = [row["ids"] for row in read_json_lines(run / "seen_utterances.jsonl") if row["epoch"] == 0]
    assert [len(ids) for ids in first] == [2, 2, 2, 2, 2, 1]  # type: ignore[arg-type]
    assert len({name for ids in first for name in ids}) == 11, "none lost, none repeated"  # type: ignore[attr-defined]


@pytest.mark.slow
def test_steps_of_another_size_go_on_where_the_epoch_was(corpus: Path, tmp_path: Path) -> None:
    """Two processes take twice as many batches a step: fewer steps, the same utterances."""
    run, cut = tmp_path / "run", ("data.max_samples=11", "data.max_utterances=1")
    one(arguments(corpus, run, settings=cut, max_steps=3))
    shown = two(arguments(corpus, run, settings=cut, max_steps=0, max_epochs=2))
    assert "a step learns from 2 batches now" in shown
    counted = Counter(name for row in read_json_lines(run / "seen_utterances.jsonl") for name in row["ids"])  # type: ignore[attr-defined]
    assert len(counted) == 11
    assert set(counted.values()) == {2}
    assert f"finished at step {3 + 4 + 6}" in shown


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_the_rest_is_resumed_on_one(
    corpus: Path, tmp_path: Path
) -> None:
    words = arguments(corpus, tmp_path / "run", max_steps=6)
    shown = two(["--stop-rank", "1", *words], program=[CHILD])
    assert "stopped on another process at step 2" in shown
    one(arguments(corpus, tmp_path / "run", max_steps=6))


@pytest.mark.slow
def test_gradients_are_sent_once_a_step_and_shards_that_do_not_divide_do_not_hang(
    corpus: Path, tmp_path: Path
) -> None:
    """Eleven utterances in batches of one, two processes, three batches a step each: the last step has five."""
    run, counts = tmp_path / "run", tmp_path / "counts"
    cut = ("data.max_samples=11", "data.max_utterances=1")
    words = arguments(corpus, run, settings=cut, max_steps=0, max_epochs=3, accumulate=3)
    two(["--count", str(counts), *words], program=[CHILD])
    rows = list(read_json_lines(run / "seen_utterances.jsonl"))
    assert [len(row["ids"]) for row in rows] == [6, 5] * 3  # type: ignore[arg-type]
    assert set(Counter(name for row in rows for name in row["ids"]).values()) == {3}  # type: ignore[attr-defined]
    assert len(counts.read_text().split()) == len(rows), (
        "one exchange of gradients a step, however many batches"
    )
