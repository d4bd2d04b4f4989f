"""Several machines over one source: shards in any order, then a run that joins them, equal to one undisturbed run."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from command_line import call
from prepared import LENIENT, add_hostile, contents, run
from recordings import make_corpus

from amtts_core.corpus import process
from amtts_core.corpus.journal import Journal
from amtts_core.corpus.prepare_shard import ShardReport, prepare_shard
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.shard import Shard
from amtts_core.errors import AmttsError


def shard(source: Path, out: Path, index: int, count: int = 3) -> ShardReport:
    return prepare_shard(source, out, LENIENT, Shard(index, count), jobs=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = make_corpus(tmp_path / "in", 7)
    add_hostile(folder)
    return folder


def test_shards_and_the_joining_run_give_the_same_corpus(source: Path, tmp_path: Path):
    run(source, tmp_path / "one")
    parts = [shard(source, tmp_path / "many", index) for index in (2, 0, 1)]
    assert sum(part.done for part in parts) == parts[0].total == parts[1].total
    assert not (tmp_path / "many/manifest.jsonl").exists()
    with mock.patch.object(process, "decode", side_effect=AssertionError("done already")):
        report = run(source, tmp_path / "many")
    assert report.reused > 7
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_a_shard_that_is_missing_is_done_by_the_joining_run(source: Path, tmp_path: Path):
    run(source, tmp_path / "one")
    shard(source, tmp_path / "some", 1)
    (tmp_path / "some/audio/clip01.flac").unlink(missing_ok=True)
    run(source, tmp_path / "some")
    assert contents(tmp_path / "some") == contents(tmp_path / "one")


def test_a_shard_does_only_what_is_new(source: Path, tmp_path: Path):
    first = shard(source, tmp_path / "out", 0)
    again = shard(source, tmp_path / "out", 0)
    assert (again.done, again.dropped) == (first.done, first.dropped)
    assert first.reused == 0 < again.reused


def test_refusals(source: Path, tmp_path: Path):
    for index, count in ((3, 3), (1, 1)):
        done = call(
            "prepare", source, "--out", tmp_path / "out", "--num-shards", count, "--shard-index", index
        )
        done.refused("--shard-index", f"0 to {count - 1}")
    shard(source, tmp_path / "out", 0)
    with pytest.raises(AmttsError, match="other settings: sample_rate"):
        prepare_shard(source, tmp_path / "out", PrepareSettings(sample_rate=16000), Shard(1, 3))
    with (
        Journal(tmp_path / "out", Shard(0, 3).journal),
        pytest.raises(AmttsError, match="another `amtts prepare` is at work"),
    ):
        run(source, tmp_path / "out")


def test_the_command(source: Path, tmp_path: Path):
    said = call("prepare", source, "--out", tmp_path / "out", "--num-shards", 2, "--jobs", 1, "--json").json()
    assert (said["shard_index"], said["num_shards"]) == (0, 2)
    assert said["done"] == (said["total"] + 1) // 2
