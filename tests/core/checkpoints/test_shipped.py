"""Checkpoints named by a word."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_voice import make_corpus, train_tiny

from amtts_core.checkpoints import shipped
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.checkpoints.folders import find_checkpoint
from amtts_core.errors import CheckpointError
from amtts_core.finetune.init_weights import open_init_weights

BASE = Path(__file__).parents[3] / "examples" / "base" / "voice"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    train_tiny(make_corpus(folder / "data"), folder / "run", training={"max_steps": 1})
    return find_checkpoint(folder / "run")


def test_base_is_found_in_a_wheel_and_in_a_checkout(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = tmp_path / "backends" / "amtts_core"
    monkeypatch.setattr(shipped, "_CORE", core)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"checkpoint base does not exist.*shipped: base"):
        find_checkpoint(Path("base"))
    shutil.copytree(checkpoint, tmp_path / "examples" / "base" / "voice")
    assert find_checkpoint(Path("base")) == tmp_path / "examples" / "base" / "voice"
    shutil.copytree(checkpoint, core / "shipped" / "base")
    assert find_checkpoint(Path("base")) == core / "shipped" / "base"
    assert open_init_weights(Path("base")).source == core / "shipped" / "base"


def test_a_folder_of_that_name_is_meant_itself(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint, "base")
    assert find_checkpoint(Path("base")) == Path("base")
    assert shipped.shipped_checkpoint(Path("other")) is None


@pytest.mark.skipif(not BASE.is_dir(), reason="examples/base/voice is not there")
def test_the_base_voice_is_small_speaks_and_can_be_started_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the vocoder's copy serves, wherever one is
    size = sum(file.stat().st_size for file in BASE.rglob("*") if file.is_file())
    assert size <= 10e6
    found = read_checkpoint(Path("base"))
    assert len(found.info.speakers) > 1
    assert found.info.base_weights_license
    from amtts_core.synthesis.engine import Synthesizer

    spoken = Synthesizer.from_checkpoint(Path("base")).speak("ሰላም ለዓለም።", speaker=found.info.speakers[-1])
    assert 0.5 < spoken.duration < 4
    init = open_init_weights(Path("base"))
    assert Path(init.model["vocoder"]).is_dir()
    assert init.settings()["training"]["patience"] > 0
