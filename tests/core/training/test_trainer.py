"""The loop on a tiny corpus: it learns, logs, saves, stops, resumes to the bit, and never lies about a loss."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from tiny_voice import fidel_tokenizer, tiny_config, train_tiny
from torch import Tensor

from amtts_chatterbox.mel.learner import ChatterboxMelLearner
from amtts_core.checkpoints.checkpoint import checkpoints_of, damage, find_checkpoint, read_checkpoint
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError, CheckpointError, ConfigError
from amtts_core.run.folder import latest_sound_checkpoint, stored_config
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.storage.json_lines import write_jsonl
from amtts_core.tokenizers.fidel import FidelTokenizer
from amtts_core.training.callbacks.base import Callback, StepReport, TrainingOutcome
from amtts_core.training.run_state import RunState
from amtts_core.training.trainer import Trainer


class Watch(Callback):
    """Keeps what happened; optionally raises a signal at a step."""

    def __init__(self, *, signal_at: int = 0, number: int = signal.SIGTERM) -> None:
        self.state: RunState | None = None
        self.reports: list[StepReport] = []
        self.events: list[tuple[str, int]] = []
        self.validations: list[dict[str, float]] = []
        self.outcome: TrainingOutcome | None = None
        self.weights: dict[str, Tensor] = {}
        self.batches: list[tuple[str, ...]] = []
        self._signal_at, self._number = signal_at, number

    def started(self, state: RunState) -> None:
        self.state = state
        self.weights = self._copy()

    def _copy(self) -> dict[str, Tensor]:
        assert self.state is not None
        return {k: v.clone() for k, v in self.state.backend.network.state_dict().items()}

    def stepped(self, report: StepReport) -> None:
        self.reports.append(report)
        self.weights = self._copy()
        if report.step == self._signal_at:
            signal.raise_signal(self._number)

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        self.events.append(("validated", step))
        self.validations.append(metrics)

    def saved(self, step: int, folder: Path) -> None:
        self.events.append(("saved", step))

    def finished(self, outcome: TrainingOutcome) -> None:
        self.outcome = outcome


def steps_of(run: Path) -> list[int]:
    return [int(folder.name.removeprefix("step-")) for folder in checkpoints_of(run)]


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights_of(run: Path, step: int) -> dict[str, Tensor]:
    loaded = load_file(run / f"checkpoints/step-{step:08d}/model.safetensors")
    return {name: tensor.clone() for name, tensor in loaded.items()}  # not a view of a file that may change


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert set(a) == set(b)
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


# ---- it learns and tells ----


@pytest.fixture(scope="module")
def learnt(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch]:
    """A run of forty steps with every logger."""
    run, watch = tmp_path_factory.mktemp("learnt") / "run", Watch()
    train_tiny(
        corpus,
        run,
        callbacks=[watch],
        training={
            "max_steps": 40,
            "validate_every": 10,
            "save_every": 20,
            "log_every": 5,
            "sample_every": 30,
            "tensorboard": True,
            "sample_texts": ["ሰላም ለዓለም።", "🙂"],
            "optim": {"learning_rate": 6e-3, "schedule": "constant"},
        },
    )
    return run, watch


def test_losses_fall(learnt: tuple[Path, Watch]) -> None:
    _, watch = learnt
    values = [metrics["val/total"] for metrics in watch.validations]
    assert values[-1] < 0.95 * values[0], "on utterances it never saw"
    trained = {r.step: r.metrics["train/total"] for r in watch.reports if r.log_due}
    assert trained[40] < 0.8 * trained[5]


TERMS = ("total", "mel", "prior", "duration")


def test_the_jsonl_log_holds_everything(learnt: tuple[Path, Watch]) -> None:
    rows = rows_of(learnt[0])
    kinds = [row["kind"] for row in rows]
    assert kinds[0] == "start"
    assert kinds[-1] == "end", "nothing is told after the end"
    steps = [row for row in rows if row["kind"] == "step"]
    assert [row["step"] for row in steps] == list(range(5, 41, 5))
    for row in steps:
        assert all(row[f"train/{term}"] > 0 for term in TERMS)
        assert row["train/learning_rate"] > 0
        assert row["train/grad_norm/main"] > 0
    assert steps[-1]["train/total"] < steps[0]["train/total"]
    checks = [row for row in rows if row["kind"] == "validation"]
    assert [row["step"] for row in checks] == [10, 20, 30, 40]
    assert all(row[f"val/{term}"] > 0 for row in checks for term in TERMS)
    assert {row["step"] for row in rows if row["kind"] == "checkpoint"} >= {20, 40}
    assert [row["step"] for row in rows if row["kind"] == "sample"] == [30, 40], (
        "the second text has no letter"
    )
    assert rows[-1]["reason"] == "finished"
    assert rows[-1]["steps_per_second"] > 0
    assert 0 <= rows[-1]["padding_share"] < 0.2
    assert 0 <= rows[-1]["data_wait_share"] <= 1


def test_a_step_row_is_the_mean_of_its_steps(learnt: tuple[Path, Watch]) -> None:
    run, watch = learnt
    row = next(row for row in rows_of(run) if row["kind"] == "step" and row["step"] == 10)
    due = next(report for report in watch.reports if report.step == 10)
    assert due.log_due
    assert row["train/total"] == pytest.approx(due.metrics["train/total"])
    single = train_like(watch, range(6, 11))
    assert due.metrics["train/total"] == pytest.approx(np.mean(single), rel=1e-6)


def train_like(watch: Watch, steps: range) -> list[float]:
    """Losses of single steps, taken back out of the running means."""
    means = {r.step: r.metrics["train/total"] for r in watch.reports}
    out, before = [], 0.0
    for count, step in enumerate(steps, 1):
        out.append(means[step] * count - before)
        before = means[step] * count
    return out


def test_tensorboard_holds_everything(learnt: tuple[Path, Watch]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(learnt[0] / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    wanted = {f"{part}/{term}" for part in ("train", "val") for term in TERMS}
    assert wanted | {"train/learning_rate", "train/grad_norm/main"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"alignment", "mel/predicted", "mel/target", "sample/0/mel"}
    assert set(tags["audio"]) == {"sample/0"}
    assert [e.step for e in events.Scalars("train/total")] == list(range(5, 41, 5))
    assert [e.step for e in events.Audio("sample/0")] == [30, 40], "the last sample too"


def test_samples_are_spoken_on_the_way_and_at_the_end(
    learnt: tuple[Path, Watch],
) -> None:
    paths = sorted(p.name for p in (learnt[0] / "samples").iterdir())
    assert paths == [f"step-{step:08d}-0{end}" for step in (30, 40) for end in ("-mel.png", ".wav")]
    wave, rate = soundfile.read(learnt[0] / "samples" / paths[1])
    assert rate == 22050
    assert np.abs(wave).max() > 0


def test_speaking_does_not_change_what_is_learnt(corpus: Path, tmp_path: Path) -> None:
    model = {"dropout": 0.2}
    for name, every in (("silent", 0), ("speaking", 2)):
        train_tiny(corpus, tmp_path / name, model=model, training={"sample_every": every})
    assert_equal(weights_of(tmp_path / "silent", 6), weights_of(tmp_path / "speaking", 6))


def test_the_learning_rate_follows_the_schedule(corpus: Path, tmp_path: Path) -> None:
    watch = Watch()
    optim = {"learning_rate": 0.004, "warmup_steps": 2, "schedule": "linear", "final_ratio": 0.0}
    train_tiny(corpus, tmp_path / "run", callbacks=[watch], training={"max_steps": 6, "optim": optim})
    rates = [report.metrics["train/learning_rate"] for report in watch.reports]
    assert rates == pytest.approx([0.002, 0.004, 0.004, 0.003, 0.002, 0.001])


def test_a_plateau_lowers_the_rate_at_the_same_step_after_a_resume(corpus: Path, tmp_path: Path) -> None:
    optim = {"schedule": "plateau", "plateau_patience": 2, "warmup_steps": 1}
    training = {"max_steps": 8, "validate_every": 1, "min_delta": 1000.0, "optim": optim}
    whole, first, second = Watch(), Watch(signal_at=3), Watch()
    train_tiny(corpus, tmp_path / "whole", callbacks=[whole], training=training)
    train_tiny(corpus, tmp_path / "parts", callbacks=[first], training=training)
    train_tiny(corpus, tmp_path / "parts", callbacks=[second], resume=True, training=training)
    rates = [report.metrics["train/learning_rate"] for report in whole.reports]
    assert [round(0.002 / rate) for rate in rates] == [1, 1, 1, 2, 2, 4, 4, 8]
    parts = [*first.reports, *second.reports]
    assert rates == [report.metrics["train/learning_rate"] for report in parts]
    assert_equal(weights_of(tmp_path / "whole", 8), weights_of(tmp_path / "parts", 8))


def test_the_run_says_how_it_was_made(learnt: tuple[Path, Watch], corpus: Path) -> None:
    run, _ = learnt
    config, kind = stored_config(run, {})
    assert kind.spec.name == "chatterbox-mel"
    assert config.training.max_steps == 40
    assert (run / "excluded.jsonl").read_text() == ""
    info = read_checkpoint(run).info
    assert (info.backend, info.step, info.training_type) == ("chatterbox-mel", 40, "full")
    assert info.metrics["val/total"] > 0
    assert info.tokenizer_hash == fidel_tokenizer().fingerprint()
    assert info.versions["torch"] == torch.__version__
    assert len(info.dataset_hash) == 64


# ---- where it ends ----


def epochs_of(corpus: Path, run: Path, **sections: Any) -> tuple[Watch, list[tuple[str, ...]]]:
    """Trains and also returns the ids of every batch in order."""
    watch, seen = Watch(), []
    plain = ChatterboxMelLearner.losses

    def spy(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        if self.modules["network"].training:
            seen.append(tuple(batch["ids"]))
        return plain(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChatterboxMelLearner, "losses", spy)
        train_tiny(corpus, run, callbacks=[watch], **sections)
    return watch, seen


@pytest.mark.parametrize("accumulate", [1, 2])
def test_max_epochs_sees_every_utterance_exactly_so_often(
    corpus: Path, tmp_path: Path, accumulate: int
) -> None:
    training = {"max_steps": 0, "max_epochs": 5, "accumulate": accumulate, "validate_every": 99}
    watch, seen = epochs_of(corpus, tmp_path / "run", training=training, data={"batch_seconds": 2.67})
    ids = [i for batch in seen for i in batch]
    assert {i: ids.count(i) for i in set(ids)} == {u.id: 5 for u in read_manifest(corpus / "train.jsonl")}
    assert watch.outcome is not None
    assert (watch.outcome.epoch, watch.outcome.reason) == (5, "finished")
    assert len({ids[i : i + 12].__repr__() for i in range(0, 60, 12)}) > 1, "epochs differ in order"


def test_the_smaller_of_steps_and_epochs_decides(corpus: Path, tmp_path: Path) -> None:
    few = train_tiny(corpus, tmp_path / "a", training={"max_steps": 2, "max_epochs": 9})
    assert few.outcome.step == 2
    one = train_tiny(corpus, tmp_path / "b", training={"max_steps": 500, "max_epochs": 1})
    assert (one.outcome.epoch, one.outcome.step) == (1, 4)


def test_no_end_at_all_is_refused_and_nothing_written(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match="max_steps and training.max_epochs are both 0"):
        train_tiny(corpus, tmp_path / "run", training={"max_steps": 0})
    assert not (tmp_path / "run").exists()


def test_max_samples_uses_the_first_utterances_only(corpus: Path, tmp_path: Path) -> None:
    _, seen = epochs_of(corpus, tmp_path / "run", data={"max_samples": 2}, training={"max_steps": 4})
    assert {i for batch in seen for i in batch} == {"u000", "u001"}


def test_early_stopping_counts_validations_without_progress(corpus: Path, tmp_path: Path) -> None:
    training = {"max_steps": 50, "validate_every": 2, "patience": 3, "min_delta": 1000.0}
    outcome = train_tiny(corpus, tmp_path / "run", training=training).outcome
    assert (outcome.reason, outcome.step, outcome.best_step) == ("early stop", 8, 2)
    assert steps_of(tmp_path / "run")[-1] == 8, "the last step is saved"
    assert find_checkpoint(tmp_path / "run").name == "step-00000002"


def test_progress_resets_the_patience(corpus: Path, tmp_path: Path) -> None:
    training = {"max_steps": 12, "validate_every": 2, "patience": 1}
    assert train_tiny(corpus, tmp_path / "run", training=training).outcome.reason == "finished"


# ---- checkpoints ----


def test_checkpoints_rotate_and_the_best_stays(corpus: Path, tmp_path: Path) -> None:
    training = {"max_steps": 8, "save_every": 1, "validate_every": 3, "keep": 2, "min_delta": 1000.0}
    train_tiny(corpus, tmp_path / "run", training=training)
    assert steps_of(tmp_path / "run") == [3, 7, 8]
    assert find_checkpoint(tmp_path / "run").name == "step-00000003"
    assert find_checkpoint(tmp_path / "run", prefer="latest").name == "step-00000008"
    assert all(damage(folder) == "" for folder in checkpoints_of(tmp_path / "run"))


def test_the_best_metric_can_be_chosen(corpus: Path, tmp_path: Path) -> None:
    result = train_tiny(corpus, tmp_path / "run", training={"best_by": "val/mel"})
    assert result.outcome.best_metric == pytest.approx(result.outcome.metrics["val/mel"])
    with pytest.raises(
        AmttsError, match="best_by is 'val/mell', which is not measured; measured: val/duration"
    ):
        train_tiny(corpus, tmp_path / "other", training={"best_by": "val/mell"})
    assert not (tmp_path / "other").exists(), "told before the first step, with nothing written"


def test_without_validation_the_last_checkpoint_is_the_best(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    (data / "val.jsonl").write_text("")
    train_tiny(data, tmp_path / "run", training={"patience": 3})
    assert "no validation utterance" in caplog.text
    assert "patience has nothing to watch" in caplog.text
    assert find_checkpoint(tmp_path / "run").name == "step-00000006"
    (data / "val.jsonl").unlink()
    train_tiny(data, tmp_path / "run2", training={"max_steps": 2})


def test_a_validation_loss_that_is_not_finite_is_no_progress(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain, calls = Trainer.validate, []

    def spoilt(self: Trainer) -> dict[str, float]:
        metrics = plain(self)
        calls.append(self.steps.step)
        return {name: float("nan") for name in metrics} if len(calls) == 1 else metrics

    monkeypatch.setattr(Trainer, "validate", spoilt)
    outcome = train_tiny(corpus, tmp_path / "run").outcome
    assert outcome.best_step == 6
    assert "val/total is nan" in caplog.text
    assert read_checkpoint(tmp_path / "run").info.step == 6
    read_checkpoint(tmp_path / "run/checkpoints/step-00000003")


# ---- stopping and going on ----

RESUMABLE = {"max_steps": 13, "validate_every": 4, "save_every": 4, "keep": 20}


@pytest.mark.parametrize("stop_at", [1, 5, 6, 8])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_stopped_and_resumed_run_equals_an_undisturbed_one_to_the_bit(
    corpus: Path, tmp_path: Path, accumulate: int, stop_at: int
) -> None:
    sections: dict[str, Any] = {
        "model": {"dropout": 0.1},
        "data": {"batch_seconds": 2.32},
        "training": {**RESUMABLE, "accumulate": accumulate},
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _, straight = epochs_of(corpus, whole, **sections)
    watch = Watch(signal_at=stop_at, number=signal.SIGINT if stop_at == 5 else signal.SIGTERM)
    first = train_tiny(corpus, parts, callbacks=[watch], **sections)
    assert first.outcome.reason == ("SIGINT" if stop_at == 5 else "SIGTERM")
    assert first.outcome.step == stop_at, "it stops at the step's end"
    assert steps_of(parts)[-1] == stop_at
    state = read_checkpoint(parts, prefer="latest").training_state()
    assert (state["loader"]["batch"] == 0) == (stop_at == 6), (
        "six batches an epoch: the others are in the middle of one"
    )
    again = train_tiny(corpus, parts, resume=True, **sections)
    assert again.outcome.step == 13
    assert_equal(weights_of(whole, 13), weights_of(parts, 13))
    one, two = (read_checkpoint(run, prefer="latest").training_state() for run in (whole, parts))
    for part in ("loader", "steps", "early_stopping", "schedule", "ledger", "guard", "runner"):
        assert one[part] == two[part], part
    assert torch.equal(one["random"]["cpu"], two["random"]["cpu"])
    moments = [s["optimizers"]["phases"]["main"]["state"] for s in (one, two)]
    for key, values in moments[0].items():
        for name, tensor in values.items():
            assert torch.equal(tensor, moments[1][key][name])
    kinds = [row["kind"] for row in rows_of(parts)]
    assert kinds.count("start") == kinds.count("end") == 2
    assert len(straight) >= 13


def test_stopped_twice_each_utterance_is_still_seen_once_per_epoch(corpus: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []
    run, sections = tmp_path / "run", {"data": {"batch_seconds": 2.32}}
    training = {"max_steps": 0, "max_epochs": 3, "validate_every": 99, "save_every": 99}
    for number, stop in enumerate((4, 9, 0)):
        plain = ChatterboxMelLearner.losses

        def spy(self: ChatterboxMelLearner, batch: Batch, plain: Any = plain) -> Iterator[PhaseLoss]:
            if self.modules["network"].training:
                seen.append(tuple(batch["ids"]))
            return plain(self, batch)  # type: ignore[no-any-return]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ChatterboxMelLearner, "losses", spy)
            train_tiny(
                corpus,
                run,
                callbacks=[Watch(signal_at=stop)],
                resume=number > 0,
                training=training,
                **sections,
            )
    ids = [i for batch in seen for i in batch]
    assert {ids.count(i) for i in set(ids)} == {3}
    assert len(set(ids)) == 12


def test_a_finished_run_can_be_resumed_and_has_nothing_to_do(corpus: Path, tmp_path: Path) -> None:
    train_tiny(corpus, tmp_path / "run")
    before = weights_of(tmp_path / "run", 6)
    outcome = train_tiny(corpus, tmp_path / "run", resume=True).outcome
    assert (outcome.step, outcome.reason) == (6, "finished")
    assert_equal(before, weights_of(tmp_path / "run", 6))


def test_more_steps_can_be_asked_for_on_resume(corpus: Path, tmp_path: Path) -> None:
    train_tiny(corpus, tmp_path / "run")
    assert train_tiny(corpus, tmp_path / "run", resume=True, training={"max_steps": 9}).outcome.step == 9


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_newest_checkpoints_are_announced_and_the_one_before_used(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: int
) -> None:
    run, training = tmp_path / "run", {"max_steps": 12, "save_every": 2, "validate_every": 99, "keep": 9}
    train_tiny(corpus, run, training=training)
    reference = weights_of(run, 12)
    for step in (8, 10, 12):
        path = run / f"checkpoints/step-{step:08d}/model.safetensors"
        path.write_bytes(path.read_bytes()[:-3])
    watch = Watch(signal_at=7)
    train_tiny(corpus, run, callbacks=[watch], resume=True, training={**training, "keep": keep})
    assert watch.reports[0].step == 7, "it went back to step 6"
    for step in (8, 10, 12):
        assert f"step-{step:08d} is damaged" in caplog.text
    assert latest_sound_checkpoint(run).info.step == 7, "what was just saved is still there"
    train_tiny(corpus, run, resume=True, training={**training, "keep": keep})
    assert_equal(reference, weights_of(run, 12))
    assert latest_sound_checkpoint(run).info.step == 12


def test_a_run_whose_checkpoints_are_all_damaged_says_so(corpus: Path, tmp_path: Path) -> None:
    train_tiny(corpus, tmp_path / "run")
    for folder in checkpoints_of(tmp_path / "run"):
        (folder / "training.json").unlink()
    with pytest.raises(CheckpointError, match="every checkpoint of .* is damaged.*--from-scratch"):
        train_tiny(corpus, tmp_path / "run", resume=True)


# ---- one folder, one run ----


def test_a_folder_with_a_run_is_refused_without_a_word_about_it(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(corpus, run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(
        AmttsError, match=r"already holds a run \(at step-00000006\).*--resume.*--from-scratch"
    ):
        train_tiny(corpus, run)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before, "nothing is overwritten"


def test_from_scratch_keeps_the_old_checkpoints_aside(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(corpus, run)
    old = weights_of(run, 6)
    for number in (1, 2):
        train_tiny(corpus, run, from_scratch=True, training={"max_steps": 2 * number, "seed": number})
        assert steps_of(run)[-1] == 2 * number
        assert find_checkpoint(run).parent == run / "checkpoints"
    kept = load_file(run / "previous/1/checkpoints/step-00000006/model.safetensors")
    assert_equal(old, kept)
    assert (run / "previous/2/checkpoints/step-00000002").is_dir()
    assert [row["step"] for row in rows_of(run) if row["kind"] == "start"] == [0], "its log is its own"
    assert [row["step"] for row in rows_of(run / "previous/1") if row["kind"] == "start"] == [0]


def test_a_mistake_with_from_scratch_moves_nothing(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(corpus, run)
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    shutil.rmtree(data / "tokenizer")
    with pytest.raises(AmttsError, match="tokenizer"):
        train_tiny(data, run, from_scratch=True)
    assert steps_of(run) == [3, 6]
    assert find_checkpoint(run).name == "step-00000006"


def test_resume_without_a_run_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint to resume from"):
        train_tiny(corpus, tmp_path / "run", resume=True)
    with pytest.raises(CheckpointError, match="holds no run to resume"):
        stored_config(tmp_path / "run", {})


@pytest.fixture
def started(corpus: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A corpus of its own and a run of two steps on it."""
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    train_tiny(data, tmp_path / "run", training={"max_steps": 2})
    return data, tmp_path / "run"


def other_tokenizer(data: Path) -> None:
    FidelTokenizer([*fidel_tokenizer().symbols(), "ʕ"]).save(data / "tokenizer")


def other_text(data: Path) -> None:
    rows = list(read_manifest(data / "train.jsonl"))
    rows[3] = rows[3].model_copy(update={"normalized_text": "ሰላም ለዓለም።"})
    write_jsonl(data / "train.jsonl", rows)


def fewer_rows(data: Path) -> None:
    write_jsonl(data / "train.jsonl", list(read_manifest(data / "train.jsonl"))[:-1])


def other_speaker(data: Path) -> None:
    rows = list(read_manifest(data / "train.jsonl"))
    write_jsonl(data / "train.jsonl", [r.model_copy(update={"speaker": "sara"}) for r in rows])


def other_normaliser(data: Path) -> None:
    settings = {"normalizer": {"fold_homophones": False}}
    (data / "prepare.json").write_text(json.dumps({"settings": settings}))


@pytest.mark.parametrize(
    ("change", "field", "now"),
    [
        (other_tokenizer, "tokenizer_hash", ""),
        (other_speaker, "speakers", 'was \\[\\], is now \\["sara"\\]'),
        (other_normaliser, "normalizer.fold_homophones", "was true, is now false"),
    ],
)
def test_resuming_with_other_data_names_the_field_and_both_values(
    started: tuple[Path, Path], change: Callable[[Path], None], field: str, now: str
) -> None:
    data, run = started
    change(data)
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(CheckpointError, match=f"{field} was .*, is now .*") as caught:
        train_tiny(data, run, resume=True, training={"max_steps": 4})
    if now:
        caught.match(now)
    was, _, rest = str(caught.value).partition(" was ")[2].partition(", is now ")
    assert was != rest.split(".")[0], "the two values are told apart"
    assert (run / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"hidden": 48}, "backend_config.hidden was 32, is now 48"),
        ({"mel": {"fmax": 7600.0}}, r"backend_config.mel.fmax was 8000.0, is now 7600.0"),
    ],
)
def test_resuming_with_another_network_names_the_setting_and_both_values(
    started: tuple[Path, Path], model: dict[str, Any], said: str
) -> None:
    data, run = started
    with pytest.raises(CheckpointError, match=said):
        train_tiny(data, run, resume=True, model=model)


def test_another_batch_size_on_resume_begins_the_epoch_anew_and_says_so(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A position in the order of batches means nothing in another order; the run must neither skip nor hang."""
    run = tmp_path / "run"
    train_tiny(corpus, run, data={"batch_seconds": 1.16}, training={"max_steps": 9})
    position = read_checkpoint(run, prefer="latest").training_state()["loader"]["batch"]
    assert position == 9
    outcome = train_tiny(
        corpus, run, resume=True, data={"batch_seconds": 46}, training={"max_steps": 10}
    ).outcome
    assert (outcome.step, outcome.epoch) == (10, 1)
    assert "data.batch_seconds was 1.16, is now 46.0: epoch 0 begins again" in caplog.text


def test_bad_places_for_a_run(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AmttsError, match="is a file; expected a folder"):
        train_tiny(corpus, tmp_path / "file")
    with pytest.raises(AmttsError, match="run folder .* cannot be written"):
        train_tiny(corpus, tmp_path / "file" / "run")


@pytest.mark.parametrize("content", ["", "\n", "{", None])
def test_bad_corpora(corpus: Path, tmp_path: Path, content: str | None) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    if content is None:
        (data / "train.jsonl").unlink()
    else:
        (data / "train.jsonl").write_text(content)
    with pytest.raises(AmttsError, match=r"train\.jsonl"):
        train_tiny(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_validation_manifest_that_is_no_text(corpus: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    (data / "val.jsonl").write_bytes(b"\xff\xff\n")
    with pytest.raises(AmttsError, match=r"val\.jsonl, line 1: not UTF-8"):
        train_tiny(data, tmp_path / "run")


def test_utterances_that_cannot_be_learnt_are_listed(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    rows = list(read_manifest(data / "train.jsonl"))
    rows[2] = rows[2].model_copy(update={"text": "ሰ" * 400, "normalized_text": "ሰ" * 400})
    write_jsonl(data / "train.jsonl", rows)
    result = train_tiny(data, tmp_path / "run", training={"max_steps": 2})
    listed = [json.loads(line) for line in (tmp_path / "run/excluded.jsonl").read_text().splitlines()]
    assert [row["id"] for row in listed] == ["u002"]
    assert "frames are too few for 802 symbols" in listed[0]["reason"]
    assert result.excluded == 1
    assert "1 utterances are left out" in caplog.text


# ---- losses that cannot lie ----


def spoil(monkeypatch: pytest.MonkeyPatch, at: int, change: Callable[[PhaseLoss, Any], Any]) -> None:
    """Changes the loss of training batch number `at` (from 1)."""
    plain, count = ChatterboxMelLearner.losses, [0]

    def spoilt(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        network = self.modules["network"]
        for loss in plain(self, batch):
            if network.training:
                count[0] += 1
                if count[0] == at:
                    loss = PhaseLoss(phase=loss.phase, total=change(loss, network), terms=loss.terms)
            yield loss

    monkeypatch.setattr(ChatterboxMelLearner, "losses", spoilt)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda loss, network: loss.total * float("nan"), "the loss of phase 'main' is nan"),
        (lambda loss, network: loss.total + float("inf"), "the loss of phase 'main' is inf"),
        (
            lambda loss, network: loss.total + (network.mean.weight * 0).sum().sqrt(),
            "the gradient norm of phase 'main' is nan",
        ),
    ],
    ids=["NaN loss", "infinite loss", "NaN gradient"],
)
def test_a_loss_or_gradient_that_is_not_finite_stops_before_the_weights_change(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    spoil(monkeypatch, 4, change)
    watch = Watch()
    with pytest.raises(AmttsError, match=said) as caught:
        train_tiny(corpus, tmp_path / "run", callbacks=[watch], training={"max_bad_batches": 0})
    assert caught.value.exit_code == 2
    assert "step 4" in str(caught.value)
    ledger = tmp_path / "run/bad_batches.jsonl"
    assert str(ledger) in str(caught.value)
    row = json.loads(ledger.read_text())
    assert row["step"] == 4
    assert said in row["reason"]
    assert row["ids"]
    assert set(row["ids"]) <= {u.id for u in read_manifest(corpus / "train.jsonl")}
    assert [r.step for r in watch.reports] == [1, 2, 3]
    assert watch.state is not None
    assert_equal(watch.weights, watch.state.backend.network.state_dict())
    assert all(bool(torch.isfinite(t).all()) for t in watch.weights.values())
    assert steps_of(tmp_path / "run") == [3]


def test_a_nan_in_the_audio_names_the_utterance(corpus: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    shutil.rmtree(data / "features", ignore_errors=True)
    wave = np.full(22050, 0.1, np.float32)
    wave[9000] = np.nan
    soundfile.write(data / "audio/u004.wav", wave, 22050, subtype="FLOAT")
    with pytest.raises(AmttsError, match="'u004' holds samples that are not finite"):
        train_tiny(data, tmp_path / "run")


def test_a_nan_in_a_stored_feature_stops_with_the_batch_named(corpus: Path, tmp_path: Path) -> None:
    """The store was damaged after it was made: the sums are right, one number is not."""
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    train_tiny(data, tmp_path / "sound", training={"max_steps": 1})
    for path in (data / "features").glob("*/mel.bin"):
        values = np.memmap(path, "float16", mode="r+")
        values[1234] = np.nan
        values.flush()
    with pytest.raises(AmttsError, match="bad_batches.jsonl"):
        train_tiny(data, tmp_path / "strict", training={"max_bad_batches": 0})


def test_an_exception_in_a_step_is_never_swallowed(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(loss: PhaseLoss, network: Any) -> Tensor:
        raise RuntimeError("a bug in the third step")

    spoil(monkeypatch, 3, broken)
    watch, before = Watch(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="a bug in the third step"):
        train_tiny(corpus, tmp_path / "run", callbacks=[watch])
    assert [r.step for r in watch.reports] == [1, 2]
    assert watch.outcome is None
    assert signal.getsignal(signal.SIGTERM) is before, "handlers are given back"


def test_an_exception_in_a_callback_is_never_swallowed(corpus: Path, tmp_path: Path) -> None:
    class Broken(Callback):
        def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train_tiny(corpus, tmp_path / "run", callbacks=[Broken()])


@pytest.mark.parametrize("extra", [0, 2])
def test_a_learner_that_yields_another_number_of_losses_is_a_bug(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: int
) -> None:
    plain = ChatterboxMelLearner.losses

    def wrong(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        for loss in plain(self, batch):
            for _ in range(extra):
                yield loss

    monkeypatch.setattr(ChatterboxMelLearner, "losses", wrong)
    with pytest.raises(AssertionError, match="learner yielded"):
        train_tiny(corpus, tmp_path / "run")


def test_logged_losses_are_means_whatever_the_size_of_the_last_group(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four batches an epoch in groups of three: the second group has one batch and weighs no less."""
    spoil_all = ChatterboxMelLearner.losses

    def constant(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        for loss in spoil_all(self, batch):
            one = loss.total * 0 + 1.0
            yield PhaseLoss(phase=loss.phase, total=one, terms={"unit": one.detach()})

    monkeypatch.setattr(ChatterboxMelLearner, "losses", constant)
    watch = Watch()
    train_tiny(
        corpus,
        tmp_path / "run",
        callbacks=[watch],
        training={"accumulate": 3, "max_epochs": 2, "max_steps": 0},
    )
    assert [r.metrics["train/total"] for r in watch.reports] == pytest.approx([1.0] * len(watch.reports))
    assert [r.metrics["train/unit"] for r in watch.reports] == pytest.approx([1.0] * len(watch.reports))


# ---- precision ----


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps one precision per process; a real run has a process of its own."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_and_keeps_full_weights(
    corpus: Path, tmp_path: Path, fresh_accelerate: None, precision: str
) -> None:
    watch = Watch()
    train_tiny(
        corpus, tmp_path / "run", callbacks=[watch], training={"precision": precision, "max_steps": 12}
    )
    assert watch.validations[-1]["val/total"] < watch.validations[0]["val/total"]
    assert all(t.dtype == torch.float32 for t in weights_of(tmp_path / "run", 12).values())


def test_a_precision_that_cannot_be_had_is_one_line(
    corpus: Path, tmp_path: Path, fresh_accelerate: None
) -> None:
    train_tiny(corpus, tmp_path / "first", training={"max_steps": 1})
    with pytest.raises(AmttsError, match="training.precision bf16 cannot be used here"):
        train_tiny(corpus, tmp_path / "run", training={"precision": "bf16"})
    assert not (tmp_path / "run").exists()


def test_settings_out_of_range_are_refused() -> None:
    for bad in ({"max_steps": -1}, {"accumulate": 0}, {"seed": 2**70}, {"precision": "fp8"}):
        with pytest.raises(ConfigError):
            tiny_config(training=bad)


def test_the_library_call_equals_the_helper(corpus: Path, tmp_path: Path) -> None:
    """`train` is a plain function: no terminal, no arguments parsed."""
    config, kind = tiny_config(training={"max_steps": 1})
    told: list[tuple[str, int, int]] = []
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    shutil.rmtree(data / "features", ignore_errors=True)
    result = train(
        config,
        kind,
        RunOptions(data=data, run=tmp_path / "run"),
        on_progress=lambda *values: told.append(values),
    )
    assert result.outcome.step == 1
    assert told[0] == ("features of train.jsonl", 1, 12)
    assert told[-1] == ("features of val.jsonl", 3, 3)
    assert logging.getLogger("amtts_core").handlers == []
