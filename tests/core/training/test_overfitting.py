"""The notice of overfitting: when it is given, and when not."""

from __future__ import annotations

import logging

import pytest

from amtts_core.training.callbacks.base import StepReport
from amtts_core.training.callbacks.overfitting import OverfittingNotice


def play(pairs: list[tuple[float, float]], best_by: str = "val/total") -> None:
    notice = OverfittingNotice(best_by)
    for number, (train, val) in enumerate(pairs, 1):
        step = 100 * number
        metrics = {"train/total": train}
        notice.stepped(StepReport(step=step, epoch=0, total_steps=900, metrics=metrics, log_due=True))
        notice.validated(step, {"val/total": val}, {})


RISING = [(2.0, 2.0), (1.5, 1.6), (1.2, 1.65), (1.0, 1.7), (0.9, 1.75), (0.8, 1.8)]


def test_a_validation_that_rises_while_training_falls_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        play(RISING)
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 1
    assert "step 500: overfitting: val/total is 1.7500 and was best with 1.6000 at step 200" in told[0]
    assert "train/total fell from 1.5000 to 0.9000" in told[0]


@pytest.mark.parametrize(
    "pairs",
    [
        [(2.0, 2.0), (1.5, 1.6), (1.2, 1.65), (1.0, 1.5), (0.9, 1.55), (0.8, 1.45)],  # goes on falling
        [(2.0, 2.0), (1.5, 1.6), (1.2, 1.601), (1.0, 1.602), (0.9, 1.603)],  # level
        [(2.0, 2.0), (1.5, 1.6), (1.6, 1.7), (1.7, 1.8), (1.8, 1.9)],  # training rises, too: it diverges
        RISING[:4],  # too few
    ],
)
def test_other_curves_are_not_called_so(
    pairs: list[tuple[float, float]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        play(pairs)
    assert not caplog.records


def test_a_metric_without_a_training_loss_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        play(RISING, best_by="val/speech/cer")
    assert not caplog.records
