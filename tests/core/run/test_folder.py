"""Earlier runs are moved aside, files of others are left alone, and what went wrong with a folder is said."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from tiny_voice import train_tiny

from amtts_core.checkpoints.folders import checkpoints_of, damage
from amtts_core.config.yaml_files import FIRST_LINE
from amtts_core.errors import AmttsError
from amtts_core.run.folder import move_earlier_run, write_failure
from amtts_core.training.callbacks.base import Callback, StepReport
from amtts_core.training.report.history import read_history


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, act: object) -> None:
        self._step, self._act = step, act

    def stepped(self, report: StepReport) -> None:
        if report.step == self._step:
            self._act()  # type: ignore[operator]


def crash() -> None:
    raise RuntimeError("power cut")


def test_a_try_that_died_before_its_first_checkpoint_does_not_mix_with_the_next(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, settings = (
        tmp_path / "run",
        {"save_every": 99, "validate_every": 99, "sample_every": 2, "tensorboard": True},
    )
    with pytest.raises(RuntimeError, match="power cut"):
        train_tiny(corpus, run, callbacks=[At(5, crash)], training={**settings, "max_steps": 9})
    (run / "notes.txt").write_text("mine")
    train_tiny(corpus, run, training={**settings, "max_steps": 2, "validate_every": 2, "seed": 5})
    assert f"the earlier run in {run} is kept in {run / 'previous/1'}" in caplog.text
    history = read_history(run)
    assert sorted(history.samples) == [2]
    assert [step for step, _ in history.curves["train/total"]] == [1, 2]
    assert len(list((run / "tensorboard").iterdir())) == 1
    assert sorted(read_history(run / "previous/1").samples) == [2, 4]
    assert (run / "notes.txt").read_text() == "mine"
    assert "step 4" not in (run / "report.html").read_text(encoding="utf-8")


def test_files_of_others_stay_and_their_config_is_kept(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/a.wav").write_text("mine")
    move_earlier_run(tmp_path)
    assert not (tmp_path / "previous").exists(), "this never was a run"
    (tmp_path / "config.yaml").write_text("backend: vits\n")
    move_earlier_run(tmp_path)
    assert (tmp_path / "previous/1/config.yaml").read_text() == "backend: vits\n"
    assert (tmp_path / "samples/a.wav").is_file()
    (tmp_path / "config.yaml").write_text(f"{FIRST_LINE} for vits\n")
    move_earlier_run(tmp_path)
    assert (tmp_path / "previous/2/samples/a.wav").is_file(), "now it was a run"


@pytest.mark.parametrize("what", ["deleted", "moved"])
@pytest.mark.parametrize("tensorboard", [False, True])
def test_a_run_folder_that_vanishes_is_one_line_and_comes_not_back(
    corpus: Path, tmp_path: Path, what: str, tensorboard: bool
) -> None:
    run = tmp_path / "run"
    act = {"deleted": lambda: shutil.rmtree(run), "moved": lambda: run.rename(tmp_path / "elsewhere")}[what]
    settings = {
        "max_steps": 9,
        "save_every": 2,
        "validate_every": 3,
        "sample_every": 4,
        "tensorboard": tensorboard,
    }
    with pytest.raises(AmttsError, match="is gone: it was deleted or moved during the training"):
        train_tiny(corpus, run, callbacks=[At(5, act)], training=settings)
    assert not run.exists(), "nothing is written into a folder of that name"
    if what == "moved":
        folders = checkpoints_of(tmp_path / "elsewhere")
        assert folders
        assert not any(map(damage, folders))
        again = train_tiny(corpus, tmp_path / "elsewhere", resume=True, training=settings)
        assert again.outcome.step == 9


@pytest.mark.parametrize("name", ["samples", "checkpoints", "pictures", "report.html", "metrics.jsonl"])
def test_a_part_that_cannot_be_written_is_one_line(corpus: Path, tmp_path: Path, name: str) -> None:
    """A file stands where a folder should be, or the other way round."""
    run = tmp_path / "run"

    def spoil() -> None:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.mkdir() if "." in name else path.write_text("")

    settings = {"max_steps": 8, "save_every": 2, "validate_every": 2, "sample_every": 2}
    if name in ("report.html", "pictures", "metrics.jsonl"):  # warned of, or held open
        assert train_tiny(corpus, run, callbacks=[At(5, spoil)], training=settings).outcome.step == 8
        return
    with pytest.raises(AmttsError, match="written|gone"):
        train_tiny(corpus, run, callbacks=[At(5, spoil)], training=settings)


def test_which_errors_are_the_folders_fault(tmp_path: Path) -> None:
    def error(number: int, path: Path | None = None) -> OSError:
        return OSError(number, os.strerror(number), *([str(path)] if path else []))

    inside, outside = tmp_path / "run/metrics.jsonl", tmp_path / "other"
    inside.parent.mkdir()
    full = write_failure(error(errno.ENOSPC), tmp_path / "run")
    assert full is not None
    assert "No space left on device. Free space, then begin again" in str(full)
    assert "Permission denied" in str(write_failure(error(errno.EACCES, inside), tmp_path / "run"))
    assert "Stale file handle" in str(write_failure(error(errno.ESTALE), tmp_path / "run"))
    assert write_failure(error(errno.ENOENT, outside), tmp_path / "run") is None, "a bug keeps its traceback"
    assert write_failure(error(errno.EACCES), tmp_path / "run") is None
