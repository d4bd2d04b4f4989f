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


wandb_is_here = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
ONLINE = {"wandb": "online", "max_steps": 2, "validate_every": 2}


@wandb_is_here
def test_without_a_login_it_logs_offline_and_says_so(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "NETRC"):
        monkeypatch.setenv(name, str(tmp_path))
    assert train_tiny(corpus, tmp_path / "run", training=ONLINE).outcome.step == 2
    assert "not logged in, so W&B logs offline. Log in with: wandb login" in caplog.text
    assert len(list((tmp_path / "run/wandb").glob("offline-run-*"))) == 1


@wandb_is_here
def test_a_server_that_cannot_be_reached_ends_no_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    plain, modes = wandb.init, []

    def unreachable(**named: object) -> object:
        modes.append(named["mode"])
        if named["mode"] == "online":
            raise wandb.errors.CommError("Run initialization has timed out\nafter 90.0 sec.")
        return plain(**named)

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", lambda verify, prompt=False: True)
    monkeypatch.setattr(wandb, "init", unreachable)
    assert train_tiny(corpus, tmp_path / "run", training=ONLINE).outcome.step == 2
    assert modes == ["online", "offline"]
    assert "W&B cannot be reached (Run initialization has timed out after 90.0 sec.)" in caplog.text


@wandb_is_here
def test_its_own_variable_disables_it(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert train_tiny(corpus, tmp_path / "run", training=ONLINE).outcome.step == 2
    assert "W&B is disabled by its environment variable" in caplog.text
    assert not (tmp_path / "run/wandb").exists()
