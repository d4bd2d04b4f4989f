"""One writer a run: who holds a folder is said, and nobody who is gone holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from amtts_core.errors import AmttsError
from amtts_core.run.lock import LOCK, OWNER, STALE, Owner, run_lock

HOLD = """
import sys
from pathlib import Path
from amtts_core.run.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds `tmp_path`/run."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_and_told_who_holds_it(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with (
        pytest.raises(AmttsError, match=f"is being written by process {holder.pid} on "),
        run_lock(tmp_path / "run"),
    ):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / OWNER).is_file(), "a killed process leaves it"
    with run_lock(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / OWNER).read_text())["pid"] == os.getpid()
    assert not (tmp_path / "run" / OWNER).exists()


def test_a_run_that_leaves_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with run_lock(tmp_path / "a/b/run"):
        assert (tmp_path / "a/b/run" / LOCK).is_file()
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    with run_lock(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir(), "it was there before"
    with run_lock(tmp_path / "run"):
        (tmp_path / "run/metrics.jsonl").write_text("")
    assert (tmp_path / "run/metrics.jsonl").is_file()


@pytest.mark.parametrize(
    ("change", "age", "held"),
    [
        ({"host": "elsewhere"}, 1.0, True),
        ({"host": "elsewhere"}, STALE + 60, False),
        ({"pid": 1}, 1.0, True),
        ({"pid": 2**22 + 5}, 1.0, False),
        ({"pid": 1, "boot": "before"}, 1.0, False),
    ],
    ids=["other machine", "other machine, dead", "no locks here", "process gone", "started again"],
)
def test_where_locks_do_not_reach_the_heartbeat_decides(
    tmp_path: Path, change: dict[str, object], age: float, held: bool
) -> None:
    """The lock is free, as on a file system that keeps locks to one machine."""
    owner = (
        replace(Owner.current(), pid=1, **change)
        if "pid" not in change
        else replace(Owner.current(), **change)
    )
    path = tmp_path / OWNER
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)
    if held:
        with pytest.raises(AmttsError, match=f"process {owner.pid} on {owner.host}"), run_lock(tmp_path):
            pass
    else:
        with run_lock(tmp_path):
            assert Owner.read(path) == replace(Owner.current(), since=Owner.read(path).since)  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            AmttsError, match="cannot be written: Not a directory. Make it writable, or choose another --out"
        ),
        run_lock(tmp_path / "file/run"),
    ):
        pass
