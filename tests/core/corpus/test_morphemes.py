"""Transcripts whose words were split into morphemes are noticed, ordinary ones are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from prepared import run
from recordings import SENTENCES, make_corpus

from amtts_core.corpus.morphemes import SpaceCounter

SPLIT = (
    "የ ኢንተርኔት አገልግሎት ንም በ ተመለከተ",
    "በ ኮምፒውተር ሳይንስ ፎን ት ቴክኖሎጂ ለ ዶክትሬት ዲግሪ ጥናት እያደረጉ የሚገኙት ን አቶ ፍቅሬ ን",
    "የ ዛሬው እንግዳ ችን አድርገ ና ቸዋል",
)


def counted(*texts: str) -> SpaceCounter:
    counter = SpaceCounter()
    for text in texts:
        counter.add(text)
    return counter


def test_split_words_are_noticed():
    counter = counted(*SPLIT * 10)
    assert counter.share == pytest.approx(14 / 26, abs=0.12)
    assert "split into morphemes" in counter.warning()


def test_ordinary_sentences_are_not():
    counter = counted(*SENTENCES * 20, "ሀ እና ለ ናቸው", "", "ሰላም", "ወደ ቤት ና")
    assert counter.share < 0.02
    assert not counter.warning()
    assert not counted(*SPLIT[:1]).warning()  # too little to judge


def test_prepare_reports_the_share(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 6)
    lines = [f"wavs/clip{n:02}.wav|{' '.join(SPLIT)} {SENTENCES[n]}" for n in range(6)]
    (source / "metadata.csv").write_text("audio_file|text\n" + "\n".join(lines), encoding="utf-8")
    report = run(source, tmp_path / "out")
    assert report.suspicious_spaces > 0.3
    assert any("split into morphemes" in warning for warning in report.warnings)
    assert run(make_corpus(tmp_path / "in2", 6), tmp_path / "out2").suspicious_spaces == 0
