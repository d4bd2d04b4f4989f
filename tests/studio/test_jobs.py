"""The job table: queue, stop, processes that vanish, studios that come back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from amtts_cli.studio.jobs import TRAINING, JobTable
from amtts_cli.studio.processes import lives
from amtts_cli.studio.workspace import Workspace
from amtts_core.checkpoints.shipped import shipped_checkpoint
from amtts_core.errors import AmttsError

LONG = ["serve", "--voice", f"base={shipped_checkpoint(Path('base'))}", "--port", "0"]
"""Runs until it is told to stop."""


@pytest.fixture
def table(tmp_path: Path):
    workspace = Workspace.open(tmp_path / "w")
    table = JobTable(workspace.root, workspace.jobs)
    yield table
    for job in table.list():
        for pid, since in ((job.pid, job.pid_began), (job.child, job.child_began)):
            if lives(pid, since):
                os.kill(pid, signal.SIGKILL)


def _running(table: JobTable, id: str) -> None:
    until = time.monotonic() + 60
    while "listening" not in table.tail(id):
        assert not table.get(id).over, table.tail(id)
        assert time.monotonic() < until, (table.get(id), table.tail(id))
        time.sleep(0.1)


def test_commands_run_in_order_until_one_fails_and_the_log_can_be_copied(table: JobTable):
    job = table.start("x", [["--version"], ["no-such"], ["--version"]], title="three")
    job = table.wait(job.id, timeout=60)
    assert (job.state, job.exit_code) == ("failed", 2)
    tail = table.tail(job.id)
    assert tail.startswith("$ amtts --version\namtts ")
    assert tail.count("$ amtts") == 2


def test_a_second_training_waits_for_the_first_and_a_stopped_one_leaves_the_queue(table: JobTable):
    first = table.start("train", [LONG], title="first", lane=TRAINING)
    second = table.start("train", [["--version"]], title="second", lane=TRAINING)
    third = table.start("train", [["--version"]], title="third", lane=TRAINING)
    beside = table.start("x", [["--version"]], title="beside")
    assert table.wait(beside.id, timeout=60).state == "done"
    _running(table, first.id)
    assert [table.get(job.id).state for job in (second, third)] == ["queued", "queued"]
    table.stop(second.id)
    assert table.wait(second.id, timeout=30).state == "stopped"
    assert table.get(third.id).state == "queued"
    table.stop(first.id)
    assert table.wait(third.id, timeout=60).state == "done"
    ended = table.get(first.id)
    assert ended.over
    assert table.get(third.id).started >= ended.ended


def test_another_table_finds_the_job_and_knows_how_it_ended(table: JobTable):
    job = table.start("x", [LONG], title="long", out="made")
    _running(table, job.id)
    again = JobTable(table.root, table.folder)
    assert again.latest("x") is not None
    assert again.get(job.id).state == "running"
    with pytest.raises(AmttsError, match=f"'made' is being made by job {job.id}"):
        again.start("x", [["--version"]], title="same", out="made")
    again.stop(job.id)
    ended = table.wait(job.id, timeout=30)
    assert ended.state in ("stopped", "done")
    assert not lives(ended.child, ended.child_began)


def test_a_job_whose_processes_were_killed_is_lost_and_not_running(table: JobTable):
    job = table.start("train", [LONG], title="long", lane=TRAINING)
    _running(table, job.id)
    job = table.get(job.id)
    os.kill(job.pid, signal.SIGKILL)
    assert table.get(job.id).state == "running"  # its command still runs
    os.kill(job.child, signal.SIGKILL)
    assert table.wait(job.id, timeout=10).state == "lost"
    after = table.start("train", [["--version"]], title="next", lane=TRAINING)
    assert table.wait(after.id, timeout=60).state == "done"


def test_a_process_with_the_same_id_is_not_the_job(table: JobTable):
    assert lives(os.getpid(), time.time() - 1e6) is False


def test_nothing_is_imported_from_the_workspace(table: JobTable):
    (table.root / "typer.py").write_text("raise SystemExit(99)")
    job = table.start("x", [["--version"]], title="shadowed")
    assert table.wait(job.id, timeout=60).exit_code == 0


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "20200101-000000-000"])
def test_an_unknown_job_is_one_line(table: JobTable, id: str):
    with pytest.raises(AmttsError, match="there is no job"):
        table.stop(id)
