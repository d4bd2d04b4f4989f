"""TensorBoard events: every loss term, learning rate, gradient norm, figures and spoken samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.training.callbacks.base import Callback, StepReport, TrainingOutcome
from amtts_core.training.figures import to_image
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor


class TensorBoardLogger(Callback):
    """Writes into `folder`; the writer is made at the first event."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def started(self, state: RunState) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=state.step + 1 if state.step else None)

    def stepped(self, report: StepReport) -> None:
        if report.log_due:
            for name, value in {**report.metrics, **report.speed}.items():
                self._writer.add_scalar(name, value, report.step)

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        for name, picture in figures.items():
            self._writer.add_image(name, to_image(picture), step, dataformats="HWC")

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        import soundfile

        waveform, rate = soundfile.read(path, dtype="float32")
        self._writer.add_audio(f"sample/{index}", waveform[None], step, sample_rate=rate)
        self._writer.add_text(f"sample/{index}/text", text, step)
        for name, picture in figures.items():
            self._writer.add_image(f"sample/{index}/{name}", to_image(picture), step, dataformats="HWC")

    def finished(self, outcome: TrainingOutcome) -> None:
        if self._writer is not None:
            self._writer.close()
