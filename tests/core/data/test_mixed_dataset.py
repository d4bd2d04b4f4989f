"""Old data mixed in: the wanted share, every old utterance as often, exact ledgers across a resume."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_voice import make_corpus, train_tiny

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.data.mixed_dataset import ReplayDraw
from amtts_core.errors import AmttsError


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.floats(0, 0.9), st.integers(0, 3))
def test_an_epoch_has_all_that_is_new_and_the_share_of_old(
    new: int, old: int, ratio: float, epoch: int
) -> None:
    draw = ReplayDraw(new, old, ratio=ratio, seed=1)
    members = draw(epoch)
    assert members[:new].tolist() == list(range(new))
    assert len(members) - new == round(new * ratio / (1 - ratio)) == draw.count
    assert np.array_equal(members, ReplayDraw(new, old, ratio=ratio, seed=1)(epoch))
    drawn = Counter(np.concatenate([draw(number)[new:] for number in range(epoch + 1)]).tolist())
    counts = [drawn[new + number] for number in range(old)]
    assert sum(counts) == draw.count * (epoch + 1)
    assert max(counts) - min(counts) <= 1  # over epochs: none twice before all came once


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("replay")
    return make_corpus(folder / "new"), make_corpus(
        folder / "old", train_items=7, seed=9, speakers=("Abebe",)
    )


def ledger(run: Path) -> list[dict[str, Any]]:
    lines = (run / "seen_utterances.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_ledger_and_weights_are_exact_across_a_resume(corpora: tuple[Path, Path], tmp_path: Path) -> None:
    new, old = corpora
    training: dict[str, Any] = {"max_steps": 0, "max_epochs": 3, "optim": {"schedule": "constant"}}
    mixed = {"data": {"replay": {"data": str(old), "ratio": 0.25}}}
    train_tiny(new, tmp_path / "whole", training=training, **mixed)
    train_tiny(new, tmp_path / "cut", training={**training, "max_steps": 2}, **mixed)
    train_tiny(new, tmp_path / "cut", training=training, resume=True, **mixed)
    first, second = (read_checkpoint(tmp_path / name, prefer="latest") for name in ("whole", "cut"))
    assert first.info.step == second.info.step
    weights = first.weights(), second.weights()
    assert all(
        weights[0][name].numpy().tobytes() == weights[1][name].numpy().tobytes() for name in weights[0]
    )
    rows = ledger(tmp_path / "whole")
    assert rows == ledger(tmp_path / "cut")
    for epoch in range(3):
        ids = [name for row in rows if row["epoch"] == epoch for name in row["ids"]]
        replayed = [name for name in ids if name.startswith("replay/")]
        assert sorted(set(ids) - set(replayed)) == sorted(f"u{number:03d}" for number in range(12))
        assert len(replayed) == 4  # 12 new and 4 old: a quarter
    drawn = Counter(name for row in rows for name in row["ids"] if name.startswith("replay/"))
    assert sorted(drawn.values()) == [1, 1, 2, 2, 2, 2, 2]
    assert first.info.speakers == ["Abebe"]


def test_what_is_mixed_in_must_be_a_corpus(corpora: tuple[Path, Path], tmp_path: Path) -> None:
    replay = {"data": str(tmp_path / "none"), "ratio": 0.2}
    with pytest.raises(AmttsError, match="none"):
        train_tiny(corpora[0], tmp_path / "run", data={"replay": replay})
    assert not (tmp_path / "run").exists()
