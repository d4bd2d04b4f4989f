"""Weights & Biases is optional, and sends nothing unless it is asked to."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from tiny_voice import tiny_config, train_tiny

from amtts_core.errors import AmttsError
from amtts_core.training.callbacks.wandb import WandbLogger


def test_it_is_off_unless_asked_for() -> None:
    assert tiny_config()[0].training.wandb == "off"


def test_without_the_package_it_is_refused_before_anything_is_written(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(AmttsError, match=r"training.wandb=offline needs the package wandb.*amtts\[wandb\]"):
        train_tiny(corpus, tmp_path / "run", training={"wandb": "offline"})
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_offline_it_writes_into_the_run_folder_and_goes_on_after_a_resume(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    training = {"wandb": "offline", "max_steps": 2, "validate_every": 2, "sample_every": 2}
    train_tiny(corpus, tmp_path / "run", training=training)
    name = (tmp_path / "run/wandb-id").read_text().strip()
    train_tiny(corpus, tmp_path / "run", resume=True, training={**training, "max_steps": 4})
    runs = [path.name for path in (tmp_path / "run/wandb").glob("offline-run-*")]
    assert len(runs) == 2
    assert all(run.endswith(name) for run in runs)
    assert all(list((tmp_path / "run/wandb" / run).glob("*.wandb")) for run in runs)
    assert WandbLogger(tmp_path, "offline")._mode == "offline"
