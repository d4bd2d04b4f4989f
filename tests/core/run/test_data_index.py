"""A resumed run says which texts and which audio changed since it began."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import soundfile
from tiny_voice import train_tiny

from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import CheckpointError
from amtts_core.run.data_index import DataChanges, index_of, read_index
from amtts_core.storage.json_lines import write_jsonl


@pytest.fixture
def started(corpus: Path, tmp_path: Path) -> tuple[Path, Path]:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    train_tiny(data, tmp_path / "run", training={"max_steps": 2})
    return data, tmp_path / "run"


def replace_audio(data: Path, name: str) -> None:
    wave, rate = soundfile.read(data / f"audio/{name}.wav")
    soundfile.write(data / f"audio/{name}.wav", wave[::-1], rate, subtype="PCM_16")


def test_audio_that_was_replaced_is_told(
    started: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    data, run = started
    replace_audio(data, "u003")
    train_tiny(data, run, resume=True, training={"max_steps": 3})
    assert "training data since the run began: 1 of 12 audio files changed (u003)" in caplog.text
    caplog.clear()
    train_tiny(data, run, resume=True, training={"max_steps": 4})
    assert "changed" not in caplog.text, "from now on this is its audio"


def test_copied_and_touched_audio_is_the_same(
    started: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, run = started
    moved = Path(shutil.copytree(data, tmp_path / "elsewhere"))
    for path in (moved / "audio").iterdir():
        os.utime(path, (1, 1))
    train_tiny(moved, run, resume=True, training={"max_steps": 3})
    assert "changed" not in caplog.text


def test_texts_and_utterances_that_changed_are_counted_and_named(
    started: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    data, run = started
    rows = list(read_manifest(data / "train.jsonl"))
    for number in (0, 2, 4, 6):
        rows[number] = rows[number].model_copy(update={"normalized_text": "ሰላም ለዓለም።"})
    rows[5] = rows[5].model_copy(update={"id": "other"})
    write_jsonl(data / "train.jsonl", rows)
    before = (run / "config.yaml").read_bytes()
    said = (
        r"4 of 12 texts or durations changed \(u000, u002, u004 ...\); 1 utterances added \(other\); "
        r"1 utterances removed \(u005\). Continue anyway with --force"
    )
    with pytest.raises(CheckpointError, match=said):
        train_tiny(data, run, resume=True, training={"max_steps": 4})
    assert (run / "config.yaml").read_bytes() == before
    train_tiny(data, run, resume=True, force=True, training={"max_steps": 4})
    assert "--force: the training data changed: 4 of 12 texts" in caplog.text


def test_without_an_index_the_hashes_tell(started: tuple[Path, Path]) -> None:
    data, run = started
    rows = list(read_manifest(data / "train.jsonl"))
    write_jsonl(data / "train.jsonl", rows[:-1])
    (run / "training_data.jsonl").unlink()
    assert read_index(run) == {}
    with pytest.raises(CheckpointError, match="dataset_hash was .*, is now "):
        train_tiny(data, run, resume=True)


def test_audio_that_is_missing_has_an_index_too(corpus: Path, tmp_path: Path) -> None:
    rows = list(read_manifest(corpus / "train.jsonl"))
    here, gone = index_of(rows, corpus / "train.jsonl", {}), index_of(rows, tmp_path / "train.jsonl", {})
    changes = DataChanges.between(here, gone)
    assert (len(changes.audio), changes.texts, changes.added, changes.removed) == (12, [], [], [])
