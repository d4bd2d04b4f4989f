"""`report.html` in the run folder: written at validations and at the end, after the other loggers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from amtts_core.storage.atomic import replace_text
from amtts_core.training.callbacks.base import Callback, TrainingOutcome
from amtts_core.training.figures import save_picture
from amtts_core.training.report.page import PICTURES, render

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


class ReportWriter(Callback):
    """Keeps the latest figures as PNG and writes the page; a page that cannot be written ends no training."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        try:
            folder = self._run / PICTURES
            folder.mkdir(exist_ok=True)
            for name, picture in figures.items():
                save_picture(folder / f"{name.replace('/', '--')}.png", picture)
        except OSError as error:
            logger.warning("figures cannot be written into %s: %s", self._run, error)
        self._write()

    def finished(self, outcome: TrainingOutcome) -> None:
        self._write()

    def _write(self) -> None:
        path = self._run / "report.html"
        try:
            replace_text(path, render(self._run), errors="backslashreplace")
        except OSError as error:  # the next checkpoint reports a full disk
            logger.warning("%s cannot be written: %s", path, error)
