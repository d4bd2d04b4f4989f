"""Which validation is the best one, and when training stops because none was better."""

from __future__ import annotations

import math

import pytest

from amtts_core.config.sections import TrainingConfig
from amtts_core.training.early_stopping import EarlyStopping

CER, SIMILARITY = "val/speech/cer", "val/speech/similarity"


def followed(metric: str, values: list[float], **more: float) -> tuple[EarlyStopping, int | None]:
    """After these validations, or the one that stopped it; and the number of that one."""
    found = EarlyStopping(TrainingConfig(best_by=metric, **more))
    for number, value in enumerate(values, 1):
        found.update({metric: value, "val/total": 10.0 - number}, number)
        if found.should_stop(1):
            return found, number
    return found, None


@pytest.mark.parametrize(
    ("metric", "values", "best", "stopped"),
    [
        (CER, [0.5, 0.2, 0.3, 0.25, 0.1], 2, 4),
        (CER, [0.5, 0.4, 0.3, 0.2, 0.1], 5, None),
        (CER, [0.5, math.nan, math.nan, 0.1], 1, 3),
        (SIMILARITY, [0.5, 0.8, 0.7, 0.75, 0.9], 2, 4),
        (SIMILARITY, [0.5, 0.6, 0.7, 0.8, 0.9], 5, None),
    ],
)
def test_the_metric_decides_and_not_the_loss(
    metric: str, values: list[float], best: int, stopped: int | None
) -> None:
    found, at = followed(metric, values, patience=2)
    assert (found.best_step, at) == (best, stopped)
    assert found.best == values[best - 1], "the value itself is kept, not its negative"


def test_small_progress_does_not_count() -> None:
    assert followed(SIMILARITY, [0.5, 0.505, 0.6], min_delta=0.01)[0].best_step == 3
    assert followed(SIMILARITY, [0.5, 0.505], min_delta=0.01)[0].best_step == 1
