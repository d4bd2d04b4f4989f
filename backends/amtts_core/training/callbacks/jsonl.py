"""`metrics.jsonl`: one JSON object a line, appended, for machines and for later."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from amtts_core.storage.atomic import replace_text
from amtts_core.training.callbacks.base import Callback, EpochReport, StepReport, TrainingOutcome
from amtts_core.training.run_state import RunState
from amtts_core.units import Seconds

if TYPE_CHECKING:
    from torch import Tensor

_OF_STEPS = ("step", "validation", "sample", "checkpoint", "pause", "end")
"""Kinds of lines that belong to a step."""


class JsonlLogger(Callback):
    """Writes every log line, validation, checkpoint and the outcome."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: IO[str] | None = None

    def _write(self, kind: str, **values: Any) -> None:
        if self._handle is None:
            cut_half_line(self._path)
            self._handle = self._path.open("a", encoding="utf-8")
        row = {"kind": kind, "time": round(time.time(), 3), **values}
        self._handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._handle.flush()

    def started(self, state: RunState) -> None:
        if state.step:
            _drop_repeated(self._path, step=state.step, epoch=state.epoch)
        self._write("start", step=state.step, epoch=state.epoch)

    def stepped(self, report: StepReport) -> None:
        if report.log_due:
            self._write("step", step=report.step, epoch=report.epoch, **report.metrics, **report.speed)

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        self._write("validation", step=step, **metrics)

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        self._write("sample", step=step, index=index, text=text, path=path.name)

    def epoch_ended(self, report: EpochReport) -> None:
        self._write("epoch", **report.__dict__)

    def saved(self, step: int, folder: Path) -> None:
        self._write("checkpoint", step=step, folder=folder.name)

    def paused(self, step: int, seconds: Seconds) -> None:
        self._write("pause", step=step, seconds=round(seconds, 1))

    def finished(self, outcome: TrainingOutcome) -> None:
        self._write("end", **outcome.__dict__)
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def _drop_repeated(path: Path, *, step: int, epoch: int) -> None:
    """Removes the lines of steps and epochs that a resumed run makes again, so that each is there once.

    Args:
        path: of the log.
        step: at which the run is resumed.
        epoch: of its next batch.
    """
    if not path.is_file():  # absent, or a device
        return
    kept, dropped = [], False
    for line in filter(None, path.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            row = json.loads(line)
        except ValueError:  # cut off by a kill
            dropped = True
            continue
        repeated = row.get("kind") in _OF_STEPS and row.get("step", 0) > step
        repeated = repeated or (row.get("kind") == "epoch" and row.get("epoch", 0) >= epoch)
        dropped = dropped or repeated
        kept += [] if repeated else [line + "\n"]
    if dropped:
        replace_text(path, "".join(kept), errors="backslashreplace")


def cut_half_line(path: Path) -> None:
    """Removes a last line that a kill left without its end."""
    if path.exists() and path.stat().st_size and not (text := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, text.rfind(b"\n") + 1)
