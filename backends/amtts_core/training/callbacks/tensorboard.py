"""TensorBoard events: every loss term, learning rate, gradient norm, figures and synthesized samples."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.training.callbacks.base import Callback, StepReport, TrainingOutcome
from amtts_core.training.figures import to_image
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor


class TensorBoardLogger(Callback):
    """Writes into `folder`; a resumed run begins a file of its own, which replaces the steps that it repeats."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: EventFile | None = None

    def started(self, state: RunState) -> None:
        self._file = EventFile(self._folder, first_step=state.step + 1 if state.step else None)

    def stepped(self, report: StepReport) -> None:
        if report.log_due:
            from torch.utils.tensorboard.summary import scalar

            for name, value in {**report.metrics, **report.speed}.items():
                self._add(scalar(name, value), report.step)
            self._flush()

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        from torch.utils.tensorboard.summary import scalar

        for name, value in metrics.items():
            self._add(scalar(name, value), step)
        self._add_images("", figures, step)
        self._flush()

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        import soundfile
        import torch
        from torch.utils.tensorboard import summary

        waveform, rate = soundfile.read(path, dtype="float32")
        self._add(summary.audio(f"sample/{index}", torch.from_numpy(waveform)[None], sample_rate=rate), step)
        self._add(summary.text(f"sample/{index}/text", text), step)
        self._add_images(f"sample/{index}/", figures, step)
        self._flush()

    def finished(self, outcome: TrainingOutcome) -> None:
        if self._file is not None:
            self._file.close()

    def _add(self, summary: Any, step: int) -> None:
        if self._file is not None:
            self._file.add(summary=summary, step=step)

    def _add_images(self, prefix: str, pictures: dict[str, Tensor], step: int) -> None:
        from torch.utils.tensorboard.summary import image

        for name, picture in pictures.items():
            self._add(image(prefix + name, to_image(picture), dataformats="HWC"), step)

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()


class EventFile:
    """One event file, written here and now: torch's writer has a thread whose errors end in a traceback.

    TensorBoard reads event files in the order of their names, which begin with the time; a file that is written after
    a clock was set back still comes last.

    Args:
        folder: is made.
        first_step: events of other files from this step on are void; None for a new run.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, *, first_step: int | None) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        stamps = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
        latest = max((int(stamp) for stamp in stamps if stamp.isdecimal()), default=-1)
        stamp = max(int(time.time()), latest + 1)
        name = f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}"
        self._file = (folder / name).open("ab")
        self._records = RecordWriter(self._file)
        self.add(file_version="brain.Event:2")
        if first_step is not None:
            self.add(session_log=SessionLog(status=SessionLog.START), step=first_step)

    def add(self, **fields: Any) -> None:
        """Writes an event with these fields of its protocol buffer."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def flush(self) -> None:
        """Hands what was written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
