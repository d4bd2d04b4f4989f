"""The best validation so far, and when to stop because none was better for too long."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

from amtts_core.config.sections import SpeechCheckConfig, TrainingConfig
from amtts_core.errors import AmttsError

logger = logging.getLogger(__name__)


class EarlyStopping:
    """Keeps the best value of `training.best_by` and counts validations without progress.

    Args:
        config: `best_by`, `min_delta`, `patience` and `min_epochs` decide.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self.best: float | None = None
        self.best_step: int | None = None
        self.stale = 0
        """Validations without progress since the last one with progress."""

    def require_measured(self, names: Collection[str]) -> None:
        """Refuses a `training.best_by` that no validation measures.

        Args:
            names: of the metrics that a validation measures; empty where there is no validation.

        Raises:
            AmttsError: lists the metrics that are measured.
        """
        if names and self._config.best_by not in names:
            raise AmttsError(
                f"training.best_by is '{self._config.best_by}', which is not measured; "
                f"measured: {', '.join(sorted(names))}"
            )

    def update(self, metrics: Mapping[str, float], step: int) -> None:
        """Updates the best value with the metrics of a validation; does nothing without metrics."""
        if not metrics:
            return
        value = metrics[self._config.best_by]
        if not math.isfinite(value):
            logger.warning(
                "step %d: %s is %s, which counts as no progress", step, self._config.best_by, value
            )
            self.stale += 1
        elif self.best is None or self.cost(value) < self.cost(self.best) - self._config.min_delta:
            self.best, self.best_step, self.stale = value, step, 0
        else:
            self.stale += 1

    def cost(self, value: float) -> float:
        """A value of `best_by` turned so that smaller is better."""
        return -value if self._config.best_by in SpeechCheckConfig.LARGER_IS_BETTER else value

    def should_stop(self, epoch: int) -> bool:
        """True when `patience` validations brought no progress and `min_epochs` have passed."""
        patience = self._config.patience
        return bool(patience) and self.stale >= patience and epoch >= self._config.min_epochs

    def state_dict(self) -> dict[str, Any]:
        """The best value, its step and the validations since."""
        return {"best": self.best, "best_step": self.best_step, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`."""
        self.best, self.best_step, self.stale = state["best"], state["best_step"], state["stale"]
