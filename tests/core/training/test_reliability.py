"""Runs that go wrong on the way: bad batches, lost power, full memory, words from another process."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_voice import train_tiny
from torch import Tensor

from amtts_chatterbox.mel.learner import ChatterboxMelLearner
from amtts_core.checkpoints.checkpoint import checkpoints_of, read_checkpoint
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import read_json_lines
from amtts_core.training import control_file as control
from amtts_core.training.callbacks.base import Callback, EpochReport, StepReport
from amtts_core.training.loss_guard import CONSTANT_STEPS, LossGuard


class Explode(Callback):
    """Fails at a step, as a power cut would."""

    def __init__(self, at: int) -> None:
        self._at = at

    def stepped(self, report: StepReport) -> None:
        if report.step == self._at:
            raise RuntimeError("power cut")


def spoil(monkeypatch: pytest.MonkeyPatch, at: set[int], change: Callable[[Tensor], Tensor]) -> None:
    """Changes the losses of some training batches, counted from 1."""
    plain, count = ChatterboxMelLearner.losses, [0]

    def spoilt(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        for loss in plain(self, batch):
            if self.modules["network"].training:
                count[0] += 1
                if count[0] in at:
                    loss = PhaseLoss(phase=loss.phase, total=change(loss.total), terms=loss.terms)
            yield loss

    monkeypatch.setattr(ChatterboxMelLearner, "losses", spoilt)


def nan(loss: Tensor) -> Tensor:
    return loss * float("nan")


def steps_of(run: Path) -> list[int]:
    return [int(folder.name.removeprefix("step-")) for folder in checkpoints_of(run)]


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert set(a) == set(b)
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


def test_bad_batches_are_skipped_up_to_the_limit(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(monkeypatch, {4}, nan)
    result = train_tiny(corpus, tmp_path / "run")
    assert result.outcome.step == 6, "a skipped batch is no step"
    assert result.outcome.skipped_batches == 1
    assert "the batch is skipped" in caplog.text
    rows = list(read_json_lines(tmp_path / "run/seen_utterances.jsonl"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 4, 5, 6]
    assert [bool(row.get("skipped")) for row in rows] == [False, False, False, True, False, False, False]


def test_too_many_bad_batches_in_a_row_stop_the_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, {3, 4, 5}, nan)
    with pytest.raises(AmttsError, match=r"bad batch 3 in a row \(training.max_bad_batches is 2\)"):
        train_tiny(corpus, tmp_path / "run", training={"max_bad_batches": 2})


def test_the_list_of_bad_batches_equals_that_of_an_undisturbed_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches 2, 5 and 7 are bad; the power goes in step 4, after batch 5 was listed."""
    settings = {"max_steps": 6, "save_every": 2, "validate_every": 6}
    for name, spoilt in (("whole", {2, 5, 7}), ("cut", {2, 5, 7})):
        with monkeypatch.context() as patched:
            spoil(patched, spoilt, nan)
            if name == "whole":
                train_tiny(corpus, tmp_path / name, training=settings)
                continue
            with pytest.raises(RuntimeError, match="power cut"):
                train_tiny(corpus, tmp_path / name, callbacks=[Explode(4)], training=settings)
    with monkeypatch.context() as patched:
        spoil(patched, {2, 4}, nan)  # step 2 was batch 3: the next ones are batches 4 and on
        train_tiny(corpus, tmp_path / "cut", resume=True, training=settings)
    lists = [(tmp_path / name / "bad_batches.jsonl").read_bytes() for name in ("whole", "cut")]
    assert lists[0] == lists[1]
    assert lists[0].count(b"\n") == 3


def test_a_run_that_stops_before_its_first_checkpoint_is_not_told_to_resume(tmp_path: Path) -> None:
    guard = LossGuard(tmp_path, limit=0)
    with pytest.raises(AmttsError, match="begin again: there is no checkpoint yet"):
        guard.skip("the loss is nan", step=1, epoch=0, ids=["u000"])
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    with pytest.raises(AmttsError, match="continue with --resume"):
        guard.skip("the loss is nan", step=2, epoch=0, ids=["u000"])
    guard.clear()
    assert not (tmp_path / "bad_batches.jsonl").exists()


def test_a_run_without_an_average_goes_on_with_what_was_trained(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_tiny(corpus, tmp_path / "plain", training={"max_steps": 4, "save_every": 2})
    train_tiny(corpus, tmp_path / "run", training={"max_steps": 2, "ema_decay": 0.9})
    train_tiny(corpus, tmp_path / "run", resume=True, training={"max_steps": 4, "ema_decay": 0.0})
    assert "EMA disabled" in caplog.text
    plain, run = (read_checkpoint(tmp_path / name, prefer="latest").weights() for name in ("plain", "run"))
    assert_equal(plain, run)


def test_the_sample_ledger_equals_that_of_an_undisturbed_run(corpus: Path, tmp_path: Path) -> None:
    whole = {"max_steps": 9, "save_every": 2, "validate_every": 4}
    train_tiny(corpus, tmp_path / "whole", training=whole)
    with pytest.raises(RuntimeError, match="power cut"):
        train_tiny(corpus, tmp_path / "cut", callbacks=[Explode(5)], training=whole)
    train_tiny(corpus, tmp_path / "cut", resume=True, training=whole)
    ledgers = [(tmp_path / name / "seen_utterances.jsonl").read_bytes() for name in ("whole", "cut")]
    assert ledgers[0] == ledgers[1]
    counted = Counter(
        i for row in read_json_lines(tmp_path / "cut/seen_utterances.jsonl") for i in row["ids"]
    )  # type: ignore[attr-defined]
    assert max(counted.values()) - min(counted.values()) <= 1, "no utterance twice before each came once"


def test_an_average_of_the_weights_is_saved_validated_and_resumed(corpus: Path, tmp_path: Path) -> None:
    settings = {"ema_decay": 0.9, "max_steps": 8, "save_every": 3, "validate_every": 4}
    train_tiny(corpus, tmp_path / "whole", training=settings)
    plain = train_tiny(corpus, tmp_path / "plain", training={**settings, "ema_decay": 0.0})
    with pytest.raises(RuntimeError, match="power cut"):
        train_tiny(corpus, tmp_path / "cut", callbacks=[Explode(5)], training=settings)
    train_tiny(corpus, tmp_path / "cut", resume=True, training=settings)
    whole, cut = (read_checkpoint(tmp_path / n, prefer="latest") for n in ("whole", "cut"))
    assert_equal(whole.weights(), cut.weights())
    assert_equal(whole.training_state()["weights"]["trained"], cut.training_state()["weights"]["trained"])
    own = read_checkpoint(plain.run, prefer="latest").weights()
    assert_equal(own, whole.training_state()["weights"]["trained"])
    assert any(not torch.equal(own[k], whole.weights()[k]) for k in own), "what speaks is the average"


def test_the_control_file_stops_and_pauses(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CHECK_EVERY", 0.0)

    class Say(Callback):
        def stepped(self, report: StepReport) -> None:
            if report.step == 2:
                control.send(tmp_path / "run", "pause")
                threading.Timer(0.3, control.send, (tmp_path / "run", "go")).start()
            if report.step == 4:
                control.send(tmp_path / "run", "stop")

    result = train_tiny(corpus, tmp_path / "run", callbacks=[Say()], training={"keep": 9})
    assert result.outcome.reason == "control file"
    assert result.outcome.step == 4
    assert 2 in steps_of(tmp_path / "run"), "a pause saves first"
    assert not (tmp_path / "run/control").exists()
    assert train_tiny(corpus, tmp_path / "run", resume=True).outcome.step == 6


def test_running_out_of_memory_halves_the_batches_and_goes_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = ChatterboxMelLearner.losses

    def small_only(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        if len(batch["ids"]) > 1 and self.modules["network"].training:
            raise torch.OutOfMemoryError("pretended")
        yield from plain(self, batch)

    monkeypatch.setattr(ChatterboxMelLearner, "losses", small_only)
    result = train_tiny(corpus, tmp_path / "run")
    assert result.outcome.step == 6
    assert "the effective batch stays the same" in caplog.text
    rows = list(read_json_lines(tmp_path / "run/seen_utterances.jsonl"))
    assert max(len(row["ids"]) for row in rows) > 1, "a step still learns from the whole batch"  # type: ignore[arg-type]


def test_a_loss_that_stands_still_is_said(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = LossGuard(tmp_path, limit=3)
    for step in range(CONSTANT_STEPS + 1):
        guard.check_step(step, 0.25)
    assert "the loss has been exactly 0.25" in caplog.text
    guard.check_step(99, 0.0)
    assert "the loss is exactly 0" in caplog.text


def test_every_epoch_says_what_it_saw(corpus: Path, tmp_path: Path) -> None:
    reports: list[EpochReport] = []

    class Collect(Callback):
        def epoch_ended(self, report: EpochReport) -> None:
            reports.append(report)

    train_tiny(corpus, tmp_path / "run", callbacks=[Collect()], training={"max_steps": 0, "max_epochs": 2})
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [report.epoch for report in reports]
    assert [report.epoch for report in reports] == [0, 1]
    assert all(report.seen == report.expected == 12 for report in reports)
