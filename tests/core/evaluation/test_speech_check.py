"""Training judged by what its voice says: metric, best checkpoint, warnings, comparison with the start."""

from __future__ import annotations

import json
import logging
import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_voice import make_corpus, tiny_backend, train_tiny

from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.errors import AmttsError
from amtts_core.evaluation import speech_check
from amtts_core.evaluation.speech_check import REPORT, CheckText, SpeechCheck, worse


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recognizer that has learned nothing: what it reads is wrong, and reproducibly so."""
    backend = tiny_backend("recognizer")
    folder = tmp_path_factory.mktemp("recognizer") / "checkpoint"
    write_backend(folder, backend)
    return folder


def settings(recognizer: Path, **more: Any) -> dict[str, Any]:
    return {
        "max_steps": 4,
        "validate_every": 2,
        "speech_check": {"recognizer": str(recognizer), "count": 2},
        **more,
    }


def test_errors_of_speech_are_a_metric_that_chooses_the_checkpoint(recognizer: Path, tmp_path: Path) -> None:
    corpus, run = make_corpus(tmp_path / "corpus"), tmp_path / "run"
    chosen = settings(recognizer, best_by="val/speech/cer")
    result = train_tiny(corpus, run, training=chosen)
    stored = json.loads((run / REPORT).read_text(encoding="utf-8"))
    assert set(stored["steps"]) == {"2", "4"}
    assert len(stored["texts"]) == 2
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("val/speech/cer" in json.dumps(row) for row in logged)
    assert result.outcome.best_metric == min(figures["cer"] for figures in stored["steps"].values())


def test_without_a_recognizer_nothing_is_spoken(recognizer: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    train_tiny(corpus, tmp_path / "run", training={"max_steps": 2})
    assert not (tmp_path / "run" / REPORT).exists()
    with pytest.raises(AmttsError, match=r"best_by is 'val/speech/cer', which is not measured"):
        train_tiny(corpus, tmp_path / "other", training={"max_steps": 2, "best_by": "val/speech/cer"})


def test_a_recognizer_that_is_none_is_told_before_the_first_step(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    with pytest.raises(AmttsError, match="no folder of a recognizer"):
        train_tiny(corpus, tmp_path / "run", training=settings(tmp_path / "nothing"))


# ---- the callback alone, with figures that are given ----


def check(
    tmp_path: Path,
    figures: list[dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    started_from: str = "",
    best_by: str = "val/total",
) -> SpeechCheck:
    """A callback whose measurements are `figures`, one after the other."""
    given = iter(figures)
    monkeypatch.setattr(speech_check, "measure_speech", lambda *_: next(given))
    found = SpeechCheck(None, [CheckText("ሰላም")], SimpleNamespace(identity="r"))  # type: ignore[arg-type]
    about = SimpleNamespace(started_from=started_from)
    state = SimpleNamespace(
        step=0,
        folder=tmp_path,
        info=about,
        config=SimpleNamespace(best_by=best_by),
        inference_weights=lambda: nullcontext(None),
    )
    found.started(state)  # type: ignore[arg-type]
    return found


def validate(callback: SpeechCheck, losses: list[float]) -> None:
    for number, loss in enumerate(losses, 1):
        callback.validated(number, {"val/total": loss}, {})


@pytest.mark.parametrize("best_by", ["val/total", "val/speech/cer"])
def test_a_falling_loss_with_rising_errors_is_told_once(
    best_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rates = [{"cer": c, "words_wrong": c} for c in (0.2, 0.1, 0.15, 0.2, 0.3)]
    callback = check(tmp_path, rates, monkeypatch, best_by=best_by)
    with caplog.at_level(logging.WARNING):
        validate(callback, [5, 4, 3, 2, 1])
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 1
    assert "the loss falls while errors rise" in told[0]
    assert "step 4" in told[0]
    assert ("--set training.best_by=val/speech/cer" in told[0]) == (best_by == "val/total")


@pytest.mark.parametrize(
    ("rates", "losses"),
    [
        ([0.3, 0.2, 0.1, 0.1], [4, 3, 2, 1]),  # both fall
        ([0.1, 0.2, 0.3, 0.3], [1, 2, 3, 4]),  # both rise: the loss itself chooses an earlier checkpoint
        ([0.1, 0.11, 0.1, 0.11], [4, 3, 2, 1]),  # a little up and down
    ],
)
def test_no_warning_otherwise(
    rates: list[float],
    losses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    callback = check(tmp_path, [{"cer": c, "words_wrong": c} for c in rates], monkeypatch)
    with caplog.at_level(logging.WARNING):
        validate(callback, losses)
    assert not caplog.records


def test_a_tuned_voice_is_compared_with_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figures = [
        {"cer": 0.05, "words_wrong": 0.1, "similarity": 0.9},
        {"cer": 0.2, "words_wrong": 0.3, "similarity": 0.7},
    ]
    callback = check(tmp_path, figures, monkeypatch, started_from="published weights")
    assert set(callback.history) == {0}
    with caplog.at_level(logging.WARNING):
        validate(callback, [1.0])
        callback.finished(SimpleNamespace(best_step=1))  # type: ignore[arg-type]
    told = " ".join(r.getMessage() for r in caplog.records)
    assert "20.0 % of the letters are wrong, before 5.0 %" in told
    assert "similarity is 0.700, before 0.900" in told


def test_a_resumed_run_remembers_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = check(tmp_path, [{"cer": 0.05, "words_wrong": 0.1}], monkeypatch, started_from="x")
    assert (tmp_path / REPORT).is_file()
    resumed = SpeechCheck(None, callback.texts, callback.recognizer)  # type: ignore[arg-type]
    resumed.started(SimpleNamespace(step=10, folder=tmp_path, info=SimpleNamespace(started_from="x")))  # type: ignore[arg-type]
    assert resumed.history == {0: {"cer": 0.05, "words_wrong": 0.1}}


def test_a_voice_that_fell_silent_is_told_and_stored_as_json_that_all_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spoke = {"cer": 0.05, "words_wrong": 0.1, "similarity": 0.9}
    silent = dict.fromkeys(spoke, math.nan)
    callback = check(tmp_path, [spoke, silent], monkeypatch, started_from="published weights")
    with caplog.at_level(logging.WARNING):
        validate(callback, [1.0])
        callback.finished(SimpleNamespace(best_step=1))  # type: ignore[arg-type]
    told = " ".join(r.getMessage() for r in caplog.records)
    assert "it says nothing, before 5.0 % of the letters were wrong" in told
    assert "no speech to compare with its speaker, before a similarity of 0.900" in told
    text = (tmp_path / REPORT).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["steps"]["1"] == dict.fromkeys(spoke)
    resumed = SpeechCheck(None, callback.texts, callback.recognizer)  # type: ignore[arg-type]
    resumed.started(SimpleNamespace(step=1, folder=tmp_path, info=SimpleNamespace(started_from="x")))  # type: ignore[arg-type]
    assert resumed.history[0] == spoke
    assert all(math.isnan(value) for value in resumed.history[1].values())


def test_what_counts_as_worse() -> None:
    assert worse({"cer": 0.1}, {"cer": 0.11}) == []
    assert len(worse({"cer": 0.1, "similarity": 0.9}, {"cer": 0.2, "similarity": 0.8})) == 2
