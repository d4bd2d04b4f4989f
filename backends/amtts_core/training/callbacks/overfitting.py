"""Warns when a run begins to overfit: the training loss falls, the validation loss has not for a while."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from amtts_core.training.callbacks.base import Callback, StepReport

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)
VALIDATIONS = 3
"""Validations in a row that have to be worse than the best one."""
SHARE = 0.01
"""By how much the last of them has to be worse, as a share of the best."""


class OverfittingNotice(Callback):
    """Warns once a run.

    Args:
        best_by: metric of validations that chooses the best checkpoint; only losses (`val/...`) have a counterpart in
            training.
    """

    def __init__(self, best_by: str) -> None:
        self._metric = best_by
        self._train = best_by.replace("val/", "train/", 1)
        self._best: tuple[float, int] | None = None
        self._loss_at_best = self._loss = float("nan")
        self._worse = 0
        self._warned = False

    def stepped(self, report: StepReport) -> None:
        """Keeps the last training loss."""
        self._loss = report.metrics.get(self._train, self._loss)

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        """Compares with the best validation so far."""
        value = metrics.get(self._metric)
        if value is None:
            return
        if self._best is None or value < self._best[0]:
            self._best, self._worse, self._loss_at_best = (value, step), 0, self._loss
            return
        self._worse += 1
        rises = self._worse >= VALIDATIONS and value > self._best[0] + SHARE * abs(self._best[0])
        if self._warned or not rises or not self._loss < self._loss_at_best:
            return
        self._warned = True
        logger.warning(
            "step %d: overfitting: %s is %.4f and was best with %.4f at step %d, while %s fell from %.4f to %.4f. "
            "The best checkpoint stays as it is; stop with Ctrl-C or training.patience=%d, and more recordings, "
            "--from a voice that exists or model.dropout help",
            step,
            self._metric,
            value,
            *self._best,
            self._train,
            self._loss_at_best,
            self._loss,
            VALIDATIONS,
        )
