"""A full disk at any point of `prepare` is one line and exit code 2, and a run with space goes on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from command_line import call
from prepared import contents, run
from recordings import make_corpus

from amtts_core.corpus import journal
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError


def test_an_out_that_was_moved_goes_on(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 4)
    run(source, tmp_path / "here/out")
    (tmp_path / "far/away").mkdir(parents=True)
    shutil.move(tmp_path / "here/out", tmp_path / "far/away/out")
    assert run(source, tmp_path / "far/away/out").reused == 4
    with pytest.raises(AmttsError, match="source is"):
        run(make_corpus(tmp_path / "other/in", 4, seconds=2.0), tmp_path / "far/away/out")
    assert str(tmp_path) not in (tmp_path / "far/away/out/prepare.json").read_text(encoding="utf-8")


class _Full(sqlite3.Connection):
    """A database on a disk that becomes full after some statements."""

    left = 0

    def execute(self, *arguments):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        if type(self).left < 0:
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(*arguments)


@pytest.mark.parametrize("statements", [8, 9, 12, 20, 33])
def test_a_journal_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: int):
    source = make_corpus(tmp_path / "in", 4)
    real = sqlite3.connect
    _Full.left = statements
    monkeypatch.setattr(journal.sqlite3, "connect", lambda *args, **more: real(*args, factory=_Full, **more))
    done = call("prepare", source, "--out", tmp_path / "out", "--jobs", 1)
    done.refused("journal.sqlite: database or disk is full", "run the same command again")
    monkeypatch.undo()
    assert run(source, tmp_path / "out", PrepareSettings()).kept == 4
    run(source, tmp_path / "fresh", PrepareSettings())
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [60, 100, 160, 240, 330, 420, 480, 520, 560, 620])
def test_a_disk_that_fills_up(tmp_path: Path, kilobytes: int):
    source = make_corpus(tmp_path / "in", 8, seconds=2.0)
    small = tmp_path / "small"
    small.mkdir()
    if shutil.which("mount") is None or _mount(small, kilobytes):
        pytest.skip("needs the right to mount a small disk")
    try:
        done = call("prepare", source, "--out", small / "out", "--jobs", 1)
        if done.code:
            done.refused("cannot write")
        shutil.copytree(small / "out", tmp_path / "large/out")
    finally:
        subprocess.run(["umount", small], check=True)
    run(source, tmp_path / "large/out", PrepareSettings())
    run(source, tmp_path / "fresh", PrepareSettings())
    made, fresh = contents(tmp_path / "large/out"), contents(tmp_path / "fresh")
    made.pop("prepare.json")
    fresh.pop("prepare.json")  # names the source from where it is
    assert made == fresh


def _mount(folder: Path, kilobytes: int) -> int:
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs"]
    return subprocess.run(["mount", *options, folder], capture_output=True, check=False).returncode
