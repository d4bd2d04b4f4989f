"""Times and lengths in tables: parts are cut, ready clips stay whole, and a recording of another length is no clip."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from prepared import LENIENT, rejected, rows, run
from recordings import SENTENCES, speech, write_wav
from sources import clips, make_files, rules

from amtts_core.corpus.filters import other_length
from amtts_core.corpus.importers.spans import Spans
from amtts_core.corpus.importers.times import find_length_scale, is_cut_out

SPANS = ((0.5, 2.5), (3.0, 5.25), (6.0, 7.5))


def clock(time: float) -> str:
    return f"00:00:{time:06.3f}"


Cells = Callable[[float, float], str]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("", lambda a, b: f"{clock(a)}|{clock(b)}"),
        ("", lambda a, b: f"{a}|{b - a}"),
        ("audio|t0|t1|text", lambda a, b: f"{a}|{b}"),
        ("audio|Von|Bis|text", lambda a, b: f"{a}|{b}"),
        ("ፋይል|መነሻ|መድረሻ|ጽሑፍ", lambda a, b: f"{a}|{b}"),
        ("audio|here|there|text", lambda a, b: f"{a}|{b}"),
        ("audio|here|duration|text", lambda a, b: f"{a}|{b - a}"),
    ],
)
def test_parts_of_one_recording_are_cut_under_any_header(tmp_path: Path, header: str, cells: Cells):
    write_wav(tmp_path / "talk.wav", speech(1, seconds=9))
    lines = [f"talk.wav|{cells(a, b)}|{SENTENCES[n]}" for n, (a, b) in enumerate(SPANS)]
    make_files(tmp_path, {"metadata.csv": "\n".join([header] * bool(header) + lines)})
    found = [(clip.text, clip.start, clip.end) for clip in clips(tmp_path)]
    assert found == [(SENTENCES[n], *span) for n, span in enumerate(SPANS)]


def test_numbers_that_are_no_times_cut_nothing(tmp_path: Path):
    assert not Spans(["a", "a", "a"]).follow(["1", "2", "3"], ["0.5", "0.6", "0.7"])
    assert not Spans(["a", "b", "c"]).follow(["1", "2", "3"], ["1.5", "2.5", "3.5"])
    assert not Spans(["a", "a"]).follow(["1", "1"], ["2", "2"])
    assert not Spans(["a", "a"]).follow(["1", "2"], ["4", "5"])


def test_a_start_without_an_end_is_no_clip(tmp_path: Path):
    write_wav(tmp_path / "talk.wav", speech(1, seconds=9))
    make_files(
        tmp_path,
        {"metadata.csv": f"audio,start,text\ntalk.wav,0,{SENTENCES[0]}\ntalk.wav,3.0,{SENTENCES[1]}"},
    )
    assert rules(tmp_path) == dict.fromkeys(SENTENCES[:2], "malformed-line")


def make_ready_clips(folder: Path, kind: str) -> None:
    """Clips that were cut out of a long recording, with the times they had there."""
    at, listed = 30.0, []
    for number in range(4):
        length = 1.5 + number / 4
        write_wav(folder / f"wavs/{number}.wav", speech(number, seconds=length))
        listed.append(
            {"audio": f"wavs/{number}.wav", "start": at, "end": at + length, "text": SENTENCES[number]}
        )
        at += length + 0.5
    if kind == "csv":
        lines = [f"{row['audio']},{row['start']},{row['end']},{row['text']}" for row in listed]
        make_files(folder, {"metadata.csv": "\n".join(["audio,start,end,text", *lines])})
    else:
        make_files(folder, {"list.jsonl": "\n".join(map(json.dumps, listed))})


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_ready_clips_stay_whole_though_their_times_are_listed(tmp_path: Path, kind: str):
    make_ready_clips(tmp_path, kind)
    assert [(clip.start, clip.end) for clip in clips(tmp_path)] == [(0.0, None)] * 4


def table_of(lengths: dict[str, float], folder: Path) -> None:
    lines = [f"wavs/{name}.wav,{length},{SENTENCES[n]}" for n, (name, length) in enumerate(lengths.items())]
    make_files(folder, {"metadata.csv": "\n".join(["file,duration,text", *lines])})


def test_a_recording_of_another_length_than_its_row_says_is_no_clip(tmp_path: Path):
    for number in range(4):
        write_wav(tmp_path / f"in/wavs/{number}.wav", speech(number, seconds=2.0 if number else 5.0))
    table_of({"0": 2.0, "1": 2.0, "2": 5.0, "3": 2.1}, tmp_path / "in")
    run(tmp_path / "in", tmp_path / "out")
    assert rejected(tmp_path / "out") == {"wavs/0.wav": "other-length", "wavs/2.wav": "other-length"}
    flagged = run(tmp_path / "in", tmp_path / "all", LENIENT.model_copy(update={"fit": "flag"}))
    assert flagged.kept == 4


@pytest.mark.parametrize("factor", [1, 1000, 16000, 48000])
def test_lengths_in_any_unit_agree(tmp_path: Path, factor: int):
    for number in range(4):
        write_wav(tmp_path / f"in/wavs/{number}.wav", speech(number, seconds=2 + number / 4))
    lengths = {str(number): (2 + number / 4) * factor for number in range(4)}
    table_of(lengths if factor == 1 else {n: int(v) for n, v in lengths.items()}, tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out").kept == 4


def test_a_column_with_one_value_is_no_length():
    assert find_length_scale("", [(10.0, 2.0, 16000), (10.0, 3.0, 16000), (10.0, 4.0, 16000)]) is None


@pytest.mark.parametrize(
    ("said", "found", "fits"),
    [
        (4.0, 4.9, True),
        (4.0, 6.0, False),
        (4.0, 2.4, True),
        (4.0, 2.0, False),
        (None, 9.0, True),
        (4000.0, 4.0, True),
    ],
)
def test_lengths_may_differ_by_silence_but_not_by_words(said: float | None, found: float, fits: bool):
    assert (other_length(said, found) is None) == fits


def test_a_stretch_as_long_as_its_recording_lies_in_another_one():
    assert is_cut_out(3.0, 5.0, 2.02)
    assert not is_cut_out(0.0, 2.0, 2.0)
    assert not is_cut_out(3.0, 5.0, 9.0)


def test_parquet_knows_lengths_and_origins_too(tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def content(samples: np.ndarray) -> bytes:
        handle = io.BytesIO()
        soundfile.write(handle, samples, 16000, format="WAV")
        return handle.getvalue()

    sounds = [{"bytes": content(speech(n, seconds=2 + n / 4)), "path": f"{n}.wav"} for n in range(3)]
    common = {"audio": sounds, "text": list(SENTENCES[:3])}
    starts, ends = [0.5, 3.0, 6.0], [2.5, 5.25, 8.5]
    for name, more in (("cut", {"start": starts, "end": ends}), ("length", {"duration": [2.0, 9.0, 2.5]})):
        (tmp_path / name).mkdir()
        parquet.write_table(pyarrow.table({**common, **more}), tmp_path / name / "train.parquet")
    assert [(clip.start, clip.end) for clip in clips(tmp_path / "cut")] == [(0.0, None)] * 3
    run(tmp_path / "length", tmp_path / "out")
    assert [row["rule"] for row in rows(tmp_path / "out/rejected.jsonl")] == ["other-length"]
