"""Captions whose times are off are cut where their words are, with a recognizer."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from prepared import rows
from talks import srt

import amtts
from amtts_core.contract.recognizer import Emissions
from amtts_core.contract.recognizer_registry import frame_recognizer
from amtts_core.corpus.importers.base import Recording
from amtts_core.corpus.subtitles.cue import Cue
from amtts_core.corpus.subtitles.cut import Cut, at_words
from amtts_core.evaluation.caption_times import CaptionTimes

CORPUS = Path(__file__).parents[3] / "examples/corpus"
GAP = 0.3
"""Seconds of room between sentences, quiet but not silent."""


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[float, float]]]:
    """Sixteen sentences in one recording with captions that are up to 0.6 s early or late; where they are in truth."""
    folder = tmp_path_factory.mktemp("talk")
    with (CORPUS / "metadata.csv").open(encoding="utf-8", newline="") as handle:
        lines = list(csv.DictReader(handle, delimiter="|"))[20:36]
    parts, truth, at, rate = [], {}, 0.0, 22050
    for line in lines:
        wave, rate = soundfile.read(CORPUS / line["audio_file"], dtype="float32")
        voiced = np.flatnonzero(np.abs(wave) > 0.02)
        wave = wave[voiced[0] : voiced[-1] + 1]
        parts += [wave, np.zeros(round(GAP * rate), np.float32)]
        truth[line["text"]] = (at, at + len(wave) / rate)
        at += len(wave) / rate + GAP
    samples = np.concatenate(parts)
    samples = samples + 0.002 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    soundfile.write(folder / "talk.wav", samples, rate)
    shifts = np.random.default_rng(4).uniform(-0.6, 0.6, len(truth))
    spans, last = [], 0.0
    for (start, end), shift in zip(truth.values(), shifts, strict=True):
        spans.append((max(last, start + shift), max(last + 0.5, end + shift)))
        last = spans[-1][1]
    (folder / "talk.srt").write_text(srt(spans, list(truth)), encoding="utf-8")
    return folder, truth


def errors(corpus: Path, truth: dict[str, tuple[float, float]]) -> list[float]:
    """Seconds by which both edges of every clip miss the sentence."""
    found = []
    for row in rows(corpus / "manifest.jsonl"):
        start, end = truth[row["text"]]
        found += [abs(row["source_start"] - start), abs(row["source_end"] - end)]
    return found


def test_words_say_where_captions_are_cut(
    talk: tuple[Path, dict[str, tuple[float, float]]], tmp_path: Path
) -> None:
    source, truth = talk
    by_ear, by_words = tmp_path / "by-ear", tmp_path / "by-words"
    settings = {"val": 0, "test": 0, "trim": False, "max_rejected": 1.0}
    amtts.prepare(source, by_ear, settings=settings)
    report = amtts.prepare(source, by_words, settings=settings, recognizer="ctc")
    assert report.kept == len(truth)
    assert max(errors(by_words, truth)) < 0.2
    assert np.median(errors(by_words, truth)) < 0.1
    assert max(errors(by_ear, truth)) > 0.25, "captions so far off are not mended without"


def test_a_recognizer_that_reads_something_else_moves_nothing(
    talk: tuple[Path, dict[str, tuple[float, float]]], tmp_path: Path
) -> None:
    """Captions of other sentences: their words are nowhere, so their times stay."""
    source, truth = talk
    times = CaptionTimes(frame_recognizer(), str)
    spans = list(truth.values())
    others = [*list(truth)[5:], *list(truth)[:5]]
    captions = [(text, *span) for text, span in zip(others, spans, strict=True)]
    recording = Recording(path=source / "talk.wav", duration=spans[-1][1])
    assert times(recording, captions) == [None] * len(captions)


def test_known_words_move_the_edges_and_never_cross() -> None:
    cuts = [
        Cut(start, start + 1.0, (Cue(n, start, start + 1.0, "ሰላም"),))
        for n, start in enumerate((0.0, 1.0, 2.0))
    ]
    moved = at_words(cuts, [None, (0.8, 2.2), None])
    assert [(cut.start, cut.end) for cut in moved] == [(0.0, 0.8), (0.8, 2.2), (2.2, 3.0)]
    crossed = at_words(cuts, [(0.0, 1.4), (1.2, 2.0), None])
    assert [(cut.start, cut.end) for cut in crossed] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


class Counting:
    """A recognizer that tells how many sounds it was given."""

    def __init__(self) -> None:
        self._inner = frame_recognizer()
        self.heard = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def emissions(self, waveforms: Sequence[np.ndarray]) -> list[Emissions]:
        self.heard += len(waveforms)
        return self._inner.emissions(waveforms)


def test_what_was_aligned_is_kept_by_content(
    talk: tuple[Path, dict[str, tuple[float, float]]], tmp_path: Path
) -> None:
    source, truth = talk
    cache = tmp_path / "corpus" / "transcripts.sqlite"
    captions = [(text, *span) for text, span in truth.items()][:4]
    captions[1] = ("ሌላ ነገር ነው።", *captions[1][1:])
    recording = Recording(path=source / "talk.wav", duration=list(truth.values())[-1][1])
    first = CaptionTimes(Counting(), str, cache=cache)
    found = first(recording, captions)
    assert found[0] is not None
    assert found[1] is None
    assert not cache.parent.exists(), "nothing is written before the corpus' folder is made"
    first.save()

    recognizer = Counting()
    again = CaptionTimes(recognizer, str, cache=cache)
    assert again(recording, captions) == found
    assert recognizer.heard == 0, "a caption that is not there is known, too"
    changed = [*captions[:3], ("ሰላም ለሁሉም።", *captions[3][1:])]
    assert again(recording, changed)[:3] == found[:3]
    assert recognizer.heard == 1
    CaptionTimes(other := Counting(), str, language="ti", cache=cache)(recording, captions)
    assert other.heard == 4


def test_a_rerun_of_prepare_aligns_nothing_again(
    talk: tuple[Path, dict[str, tuple[float, float]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, truth = talk
    settings = {"val": 0, "test": 0, "trim": False, "max_rejected": 1.0}
    amtts.prepare(source, tmp_path / "corpus", settings=settings, recognizer="ctc")
    before = rows(tmp_path / "corpus" / "manifest.jsonl")

    def fail(*_: object) -> None:
        raise AssertionError("a caption was aligned again")

    monkeypatch.setattr(CaptionTimes, "_span", fail)
    report = amtts.prepare(source, tmp_path / "corpus", settings=settings, recognizer="ctc")
    assert report.reused == len(truth)
    assert rows(tmp_path / "corpus" / "manifest.jsonl") == before
