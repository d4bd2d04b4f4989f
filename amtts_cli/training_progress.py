"""Training on the terminal: one bar with loss, speed and time left, a line per validation and checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from amtts_cli import console
from amtts_core.training.callbacks.base import Callback, EpochReport, StepReport
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor


class TrainingProgress(Callback):
    """Shows progress on standard error: a live bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._display = console.progress()
        self._live = self._display.console.is_terminal
        self._task: Any = None
        self._feature_task: Any = None
        self._feature_name = ""
        self._began = (0, 0.0)

    def __enter__(self) -> TrainingProgress:
        if self._live:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._display.stop()

    def features(self, what: str, done: int, total: int) -> None:
        """Progress of the feature computation."""
        if what != self._feature_name:
            self._feature_name = what
            self._feature_task = self._display.add_task(what, total=total, note="")
        self._display.update(self._feature_task, completed=done)

    def started(self, state: RunState) -> None:
        parameters = sum(p.numel() for p in state.backend.network.parameters())
        console.log(
            f"training {state.backend.spec.name}: {parameters / 1e6:.2f} M parameters, "
            f"{len(state.train_data)} utterances ({state.train_data.seconds() / 60:.1f} min), "
            f"{state.total_steps} steps from step {state.step} on {state.device}"
        )
        self._task = self._display.add_task("steps", total=state.total_steps, completed=state.step, note="")
        self._began = (state.step, time.monotonic())

    def stepped(self, report: StepReport) -> None:
        speed = (report.step - self._began[0]) / max(1e-9, time.monotonic() - self._began[1])
        if report.log_due:
            losses = {
                n.removeprefix("train/"): v for n, v in report.metrics.items() if n.startswith("train/")
            }
            shown = " ".join(f"{n} {v:.3g}" for n, v in losses.items())
            shown += f" {report.speed.get('speed/audio_seconds_per_second', 0.0):.0f} s of speech/s"
            note = f"{speed:.2f} steps/s  total {losses.get('total', float('nan')):.3f}"
            self._display.update(self._task, note=note)
            if not self._live:
                left = (report.total_steps - report.step) / max(speed, 1e-9)
                console.log(
                    f"step {report.step}/{report.total_steps} {shown} ({speed:.2f}/s, {left:.0f} s left)"
                )
        self._display.update(self._task, completed=report.step)

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        self._line(f"step {step}: " + " ".join(f"{n} {v:.4f}" for n, v in metrics.items()))

    def epoch_ended(self, report: EpochReport) -> None:
        if report.seen != report.expected or report.epoch % 10 == 9:
            self._line(
                f"epoch {report.epoch}: {report.seen} of {report.expected} utterances, "
                f"{report.skipped_batches} batches skipped, {report.unreadable} utterances unreadable"
            )

    def paused(self, step: int, seconds: float) -> None:
        self._began = (self._began[0], self._began[1] + seconds)  # no part of the time that steps take
        self._line(f"step {step}: continued after a pause of {seconds:.0f} s")

    def saved(self, step: int, folder: Path) -> None:
        self._line(f"step {step}: saved {folder}")

    def _line(self, text: str) -> None:
        if self._live:
            self._display.console.print(text, markup=False, highlight=False)
        else:
            console.log(text)
