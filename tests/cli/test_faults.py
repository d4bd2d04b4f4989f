"""A full disk, a clock that runs backwards: one line, exit code 2, and nothing lost."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from short_run import assert_same_end, begin, cut_after_four, resume
from tiny_voice import make_corpus, train_tiny

from amtts_core.audio.save import write_audio
from amtts_core.checkpoints.checkpoint import checkpoints_of, damage
from amtts_core.errors import AmttsError
from amtts_core.run import early_checks


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("faults") / "corpus")


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert begin(corpus, run).code == 0
    return run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many KiB, or gives the mounted one another size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(kilobytes: int) -> Path:
        remount = ",remount" if folder.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k{remount}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return folder

    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    yield sized
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


def kilobytes(folder: Path) -> int:
    """Pages of 4 KiB, as tmpfs counts."""
    return sum(4 * -(-path.stat().st_size // 4096) for path in folder.rglob("*") if path.is_file())


def fill(path: Path) -> None:
    """Writes until the disk is full."""
    with path.open("wb", buffering=0) as handle:
        while True:
            handle.write(b"\0" * 4096)


def test_a_disk_that_fills_up_during_a_checkpoint(
    corpus: Path,
    whole: Path,
    tmp_path: Path,
    disk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room for two checkpoints and a half: the third fails, two stay whole, and with more room it goes on.

    Somebody else has filled the disk: at the start there was room enough.
    """
    plenty = shutil.disk_usage(tmp_path)._replace(free=2**40)
    monkeypatch.setattr(early_checks.shutil, "disk_usage", lambda path: plenty)
    one = kilobytes(whole / "checkpoints/step-00000002")
    run = disk(round(2.5 * one) + 40) / "run"
    cache = f"data.cache={tmp_path / 'features'}"
    begin(corpus, run, cache).refused(
        "step-00000006 could not be written", "No space left on device", "--resume"
    )
    assert [folder.name for folder in checkpoints_of(run)] == ["step-00000002", "step-00000004"]
    assert not any(damage(folder) for folder in checkpoints_of(run))
    assert not list((run / "checkpoints").glob(".*")), "nothing half-written stays to take up room"
    resume(corpus, run).refused("No space left")
    disk(8 * one)
    assert resume(corpus, run).code == 0
    assert_same_end(whole, run)


def test_a_disk_without_room_for_the_checkpoints_is_told_first(
    corpus: Path, whole: Path, tmp_path: Path, disk: Callable[[int], Path]
) -> None:
    run = disk(round(2.5 * kilobytes(whole / "checkpoints/step-00000002")) + 40) / "run"
    cache = tmp_path / "features"
    begin(corpus, run, f"data.cache={cache}").refused("3 more checkpoints of about", "Free space")
    assert not cache.exists()
    assert not run.exists()


def test_a_disk_without_a_byte_left_keeps_the_settings_of_the_run(
    corpus: Path, whole: Path, disk: Callable[[int], Path]
) -> None:
    mounted = disk(4 * kilobytes(whole))
    run = cut_after_four(Path(shutil.copytree(whole, mounted / "run")))
    with pytest.raises(OSError, match="No space"):
        fill(mounted / "filler")
    resume(corpus, run).refused("No space left on device")
    (mounted / "filler").unlink()
    assert resume(corpus, run).code == 0, "config.yaml was replaced whole or not at all"
    assert_same_end(whole, run)


def test_a_full_disk_during_the_feature_cache(
    corpus: Path, whole: Path, tmp_path: Path, disk: Callable[[int], Path]
) -> None:
    cache = disk(16)
    begin(corpus, tmp_path / "run", f"data.cache={cache}").refused("feature cache", "No space left")
    assert not list(cache.iterdir()), "nothing half-written stays"
    assert not (tmp_path / "run").exists()
    disk(8000)
    assert begin(corpus, tmp_path / "run", f"data.cache={cache}").code == 0
    assert_same_end(whole, tmp_path / "run")


def test_a_full_disk_while_audio_is_written(disk: Callable[[int], Path]) -> None:
    mounted = disk(16)
    with pytest.raises(AmttsError, match=r"hello.wav cannot be written: No space left on device.*Free space"):
        write_audio(mounted / "hello.wav", np.zeros(24000, np.float32), 24000)
    assert not list(mounted.iterdir())


def test_a_full_disk_during_an_export(corpus: Path, tmp_path: Path, disk: Callable[[int], Path]) -> None:
    train_tiny(corpus, tmp_path / "run", backend="chatterbox", training={"max_steps": 1})
    mounted = disk(400)
    asked = ("export", "--checkpoint", tmp_path / "run", "--format", "chatterbox", "--out", mounted / "voice")
    call(*asked).refused(f"{mounted}/voice cannot be written", "No space left on device")
    assert not list(mounted.iterdir()), "nothing half-written stays"
    disk(8000)
    assert call(*asked).code == 0
    weights = mounted / "voice" / "t3_cfg.safetensors"
    assert weights.stat().st_mode == (mounted / "voice" / "README.md").stat().st_mode, (
        "others may read it too"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["metrics.jsonl", "seen_utterances.jsonl"])
def test_a_full_disk_during_a_log(corpus: Path, whole: Path, tmp_path: Path, name: str) -> None:
    """A log on a device that is always full."""
    run = cut_after_four(Path(shutil.copytree(whole, tmp_path / "run")))
    (run / name).rename(tmp_path / "kept")
    (run / name).symlink_to("/dev/full")
    resume(corpus, run).refused("No space left on device", "--resume")
    assert not any(damage(folder) for folder in checkpoints_of(run))
    (run / name).unlink()
    (tmp_path / "kept").rename(run / name)
    assert resume(corpus, run).code == 0
    assert_same_end(whole, run)


def test_a_clock_that_runs_backwards(
    corpus: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour back with every look at it: nothing but the times in the log tells."""
    hours = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 1.8e9 - 3600.0 * next(hours))
    run = tmp_path / "run"
    done = begin(corpus, run, "training.keep=2")
    assert done.code == 0, done.err
    assert "finished at step 6" in done.out
    assert_same_end(whole, run)
    assert [folder.name for folder in checkpoints_of(run)] == ["step-00000004", "step-00000006"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if "step" in row]
    assert steps == sorted(steps), "the order of the log is that of the events"
    assert all(row["seconds"] > 0 for row in rows if row["kind"] == "end")
