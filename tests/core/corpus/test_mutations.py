"""Damaged tables and recordings: no traceback, and what comes in is kept, dropped or set aside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mutations import mutated
from prepared import rows, run

from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError

LENIENT = PrepareSettings(max_rejected=1.0, val=0.0, test=0.0, sample_rate=16000)


def prepared(tmp_path: Path, seed: int) -> str:
    """What became of a damaged corpus: "refused", or its numbers, which have been checked."""
    source, out = mutated(tmp_path / "in", seed), tmp_path / "out"
    try:
        report = run(source, out, LENIENT)
    except AmttsError:
        return "refused"
    finally:
        shutil.rmtree(source)
    assert report.total == report.kept + report.dropped + report.set_aside
    assert len(rows(out / "manifest.jsonl")) == report.kept == len(list((out / "audio").iterdir()))
    assert len(rows(out / "rejected.jsonl")) == report.dropped + report.set_aside
    shutil.rmtree(out)
    return f"{report.kept} {report.dropped} {report.set_aside}"


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_corpus_is_accounted_for(tmp_path: Path, seed: int):
    prepared(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 1500, 50))
def test_five_hundred_damaged_corpora(tmp_path: Path, start: int):
    kept = 0
    for seed in range(start, start + 50):
        kept += prepared(tmp_path / str(seed), seed) != "refused"
    assert kept > 15  # most damage costs a clip and not the corpus
