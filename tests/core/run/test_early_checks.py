"""What needs no features is refused before there are any, and what a run should know is said at its start."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from tiny_voice import train_tiny

from amtts_core.config.sections import OptimConfig, TrainingConfig
from amtts_core.errors import AmttsError
from amtts_core.run.schedule_notes import report_warmup

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"best_by": "val/nothing"}, "'val/nothing', which is not measured; measured: val/duration, val/mel"),
        ({"freeze": {"modules": ["nothing"]}}, "nothing"),
        ({"type": "lora"}, "needs initial weights"),
        ({"max_steps": 0}, "are both 0"),
    ],
)
def test_mistakes_are_told_before_the_features(
    corpus: Path, tmp_path: Path, training: dict[str, Any], said: str
) -> None:
    with pytest.raises(AmttsError, match=said):
        train_tiny(corpus, tmp_path / "run", training=training, data={"cache": str(tmp_path / "cache")})
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()


def test_too_little_room_for_the_checkpoints(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(keep: int) -> str:
        with pytest.raises(AmttsError, match="more checkpoints of about") as caught:
            train_tiny(
                corpus,
                tmp_path / "run",
                training={"keep": keep},
                data={"cache": str(tmp_path / "cache")},
            )
        return str(caught.value)

    train_tiny(corpus, tmp_path / "sound", training={"max_steps": 1, "ema_decay": 0.9})
    written = sum(p.stat().st_size for p in (tmp_path / "sound/checkpoints").rglob("*") if p.is_file())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1000))
    assert "1 kB free; 2 more checkpoints" in refused(2), "steps 3 and 6"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 4.2 * written))
    settings = {"max_steps": 5, "save_every": 1, "ema_decay": 0.9}
    train_tiny(corpus, tmp_path / "enough", training=settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 3.3 * written))
    with pytest.raises(AmttsError, match="more checkpoints"):
        train_tiny(corpus, tmp_path / "run", training=settings)


def test_a_metric_that_is_measured_is_no_mistake(corpus: Path, tmp_path: Path) -> None:
    outcome = train_tiny(
        corpus, tmp_path / "run", training={"best_by": "val/duration", "max_steps": 2}
    ).outcome
    assert outcome.best_metric == outcome.metrics["val/duration"]


def test_a_run_that_is_shorter_than_its_warm_up(caplog: pytest.LogCaptureFixture) -> None:
    config = TrainingConfig(optim=OptimConfig(warmup_steps=100))
    report_warmup(config, 100)
    assert not caplog.text
    report_warmup(config, 20)
    assert "the run has 20 steps: the learning rate only reaches 0.2 of its peak" in caplog.text


def test_a_stretched_schedule_says_how_the_rate_jumps_and_how_to_keep_it(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    optim = {"warmup_steps": 0, "learning_rate": 0.004}
    train_tiny(corpus, tmp_path / "run", training={"max_steps": 4, "optim": optim})
    shutil.copytree(tmp_path / "run", tmp_path / "kept")
    train_tiny(corpus, tmp_path / "run", resume=True, training={"max_steps": 8, "optim": optim})
    (line,) = [record.message for record in caplog.records if "jumps" in record.message]
    assert "at step 5 (the schedule ends at step 8 now, before at 4)" in line
    advice = dict(word.split("=") for word in line.split() if word.startswith("training."))
    assert advice["training.optim.schedule"] == "constant"
    caplog.clear()
    kept = {**optim, "schedule": "constant", "learning_rate": float(advice["training.optim.learning_rate"])}
    train_tiny(corpus, tmp_path / "kept", resume=True, training={"max_steps": 8, "optim": kept})
    assert "jumps" not in caplog.text


def test_an_undisturbed_resume_says_nothing_of_the_rate(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = {"max_steps": 4, "patience": 9}
    train_tiny(
        corpus, tmp_path / "run", training={**training, "max_steps": 2, "optim": {"schedule": "constant"}}
    )
    train_tiny(
        corpus, tmp_path / "run", resume=True, training={**training, "optim": {"schedule": "constant"}}
    )
    assert "jumps" not in caplog.text
    assert "early stopping" not in caplog.text


def test_a_patience_that_is_over_is_told_on_resume(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = {"max_steps": 50, "validate_every": 1, "patience": 2, "min_delta": 1000.0}
    assert train_tiny(corpus, tmp_path / "run", training=training).outcome.reason == "early stop"
    outcome = train_tiny(corpus, tmp_path / "run", resume=True, training=training).outcome
    assert outcome.reason == "early stop"
    assert "early stopping still applies: no progress in 2 validations (training.patience 2)" in caplog.text
    assert "--set training.patience=4" in caplog.text
