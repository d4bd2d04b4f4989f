"""What is tried before a long run: a dry run, overfitting a few utterances, the largest batch."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_voice import tiny_config, train_tiny

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.config.yaml_files import read_config_file
from amtts_core.errors import AmttsError
from amtts_core.run import auto_batch
from amtts_core.run.auto_batch import PeakMemory
from amtts_core.run.dry_run import dry_run
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.storage.json_lines import read_json_lines
from amtts_core.training.step import OutOfMemoryError


def files_in(folder: Path) -> set[Path]:
    """All but the cache folder that torch makes for its compiler."""
    return {path for path in folder.rglob("*") if not path.name.startswith("torchinductor")}


def test_a_dry_run_measures_everything_and_leaves_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    config, kind = tiny_config(data={"max_utterances": 5}, training={"max_steps": 400, "sample_every": 100})
    before = files_in(corpus) | files_in(tmp_path)
    tried = dry_run(config, kind, RunOptions(data=corpus, run=corpus / "none", jobs=1))
    assert files_in(corpus) | files_in(tmp_path) == before
    assert tried.utterances == 5
    assert min(tried.step, tried.validation, tried.sample, tried.checkpoint) > 0
    assert tried.memory > 50e6
    assert tried.checkpoint_bytes > 1e4
    assert tried.total_steps == 400
    assert 400 * tried.step < tried.estimate < 400 * (tried.step + tried.validation + tried.checkpoint)
    assert tried.metrics["val/total"] > 0


def test_training_can_be_imported_without_the_module_resource() -> None:
    """Windows has none."""
    code = "import psutil, sys; sys.modules['resource'] = None; import amtts_core.run.dry_run"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dry_run_counts_the_steps_of_epochs(corpus: Path) -> None:
    config, kind = tiny_config(training={"max_steps": 0, "max_epochs": 3})
    tried = dry_run(config, kind, RunOptions(data=corpus, run=corpus / "none", jobs=1))
    assert 9 <= tried.total_steps <= 15, "four batches an epoch, give or take one"


def test_a_dry_run_tells_what_would_go_wrong(corpus: Path) -> None:
    config, kind = tiny_config(training={"best_by": "val/mell"})
    with pytest.raises(AmttsError, match=r"dry run: training.best_by is 'val/mell'"):
        dry_run(config, kind, RunOptions(data=corpus, run=corpus / "none", jobs=1))


def test_overfit_learns_a_few_and_is_measured_on_them(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = {
        "max_steps": 30,
        "keep": 9,
        "validate_every": 15,
        "optim": {"learning_rate": 6e-3, "schedule": "constant"},
    }
    result = train_tiny(corpus, tmp_path / "run", data={"overfit": 2}, training=training)
    ids = {name for row in read_json_lines(tmp_path / "run/seen_utterances.jsonl") for name in row["ids"]}  # type: ignore[attr-defined]
    assert ids == {"u000", "u001"}
    assert "overfitting 2 utterances" in caplog.text
    assert result.outcome.metrics["val/total"] == pytest.approx(result.outcome.best_metric or 0)
    first = read_checkpoint(tmp_path / "run/checkpoints/step-00000015").info.metrics["val/total"]
    assert result.outcome.metrics["val/total"] < 0.9 * first


# ---- the largest batch ----


def searched(
    corpus: Path, run: Path, monkeypatch: pytest.MonkeyPatch, *, limit: float, seconds: float, **training: Any
) -> dict[str, Any]:
    """Settings of a run whose memory takes batches of at most `limit` seconds."""
    tried = auto_batch._Search._try

    def too_small(self: Any, batches: Any) -> None:
        if any(float(self._durations[batch].max()) * len(batch) > limit for batch in batches):
            raise OutOfMemoryError
        tried(self, batches)

    monkeypatch.setattr(auto_batch._Search, "_try", too_small)
    plain = auto_batch._Search.__init__

    def as_gpu(self: Any, *arguments: Any) -> None:
        plain(self, *arguments)
        self._gpu = True

    monkeypatch.setattr(auto_batch._Search, "__init__", as_gpu)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
    config, kind = tiny_config(data={"batch_seconds": seconds}, training={"max_steps": 1, **training})
    train(config, kind, RunOptions(data=corpus, run=run, auto_batch=True, jobs=1))
    return read_config_file(run / "config.yaml")


def test_the_largest_batch_that_fits_is_found(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = searched(corpus, tmp_path / "run", monkeypatch, limit=5.8, seconds=2.32, accumulate=4)
    found = config["data"]["batch_seconds"]
    assert 4.0 <= found <= 5.8, "within an eighth of the limit, less the margin"
    assert config["training"]["accumulate"] == math.ceil(9.28 / found), (
        "a step learns from no less than before"
    )


def test_less_than_was_asked_for_is_made_up_by_accumulation(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = searched(corpus, tmp_path / "run", monkeypatch, limit=3.48, seconds=11.6)
    assert config["data"]["batch_seconds"] <= 3.48
    assert config["training"]["accumulate"] >= 4


def test_the_search_changes_nothing_of_the_run(corpus: Path, tmp_path: Path) -> None:
    config, kind = tiny_config(model={"dropout": 0.2}, training={"max_steps": 2})
    train(config, kind, RunOptions(data=corpus, run=tmp_path / "found", auto_batch=True, jobs=1))
    seconds = read_config_file(tmp_path / "found/config.yaml")["data"]["batch_seconds"]
    train_tiny(
        corpus,
        tmp_path / "told",
        model={"dropout": 0.2},
        data={"batch_seconds": seconds},
        training={"max_steps": 2},
    )
    found, told = (read_checkpoint(tmp_path / n, prefer="latest").weights() for n in ("found", "told"))
    for name, tensor in told.items():
        assert torch.equal(found[name], tensor), name


def test_on_a_cpu_it_stays_below_a_share_of_what_is_free(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(auto_batch, "free_memory", lambda: 10_000)
    config, kind = tiny_config()
    train(config, kind, RunOptions(data=corpus, run=tmp_path / "run", auto_batch=True, jobs=1))
    assert "may be used" in caplog.text
    assert read_config_file(tmp_path / "run/config.yaml")["data"]["batch_seconds"] < 3.48


def test_peak_memory_sees_what_was_held_in_between() -> None:
    with PeakMemory() as memory:
        before = memory.peak
        held = torch.ones(40_000_000)
        del held
    assert memory.peak - before > 100e6
