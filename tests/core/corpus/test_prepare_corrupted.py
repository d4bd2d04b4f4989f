"""Hundreds of damaged files in one run: each ends as a kept clip or as a ledger row, and nothing else happens."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import soundfile
from prepared import contents, rows, run
from recordings import SENTENCES, speech
from talks import make_spans, make_talk, sentences, srt

from amtts_core.errors import AmttsError

_FORMATS = (
    ("wav", "PCM_16"),
    ("wav", "FLOAT"),
    ("flac", "PCM_16"),
    ("ogg", "VORBIS"),
    ("mp3", "MPEG_LAYER_III"),
)
_EACH = 64


def _damaged(good: bytes, chance: random.Random) -> bytes:
    """One of the ways in which files break on disks, in downloads and in careless hands."""
    data = bytearray(good)
    kind = chance.randrange(8)
    if kind == 0:
        return bytes(data[: chance.randrange(len(data))])
    if kind == 1:  # header
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(min(64, len(data)))] = chance.randrange(256)
    elif kind == 2:  # anywhere
        for _ in range(chance.randrange(1, 200)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 3:
        start = chance.randrange(len(data))
        data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    elif kind == 4:
        del data[: chance.randrange(1, 400)]
    elif kind == 5:
        data = bytearray(chance.randbytes(chance.randrange(4000)))
    elif kind == 6:
        data[4:8] = b"\xff\xff\xff\xff"
        data[24:44] = chance.randbytes(20)
    else:
        data = data[: len(data) // 2] + data
    return bytes(data)


def _make(folder: Path) -> int:
    chance, lines = random.Random(5), ["audio_file|text"]
    folder.mkdir()
    for suffix, subtype in _FORMATS:
        buffer = io.BytesIO()
        samples = np.tile(speech(3, seconds=0.8), (2, 1)).T
        soundfile.write(buffer, samples, 16000, format=suffix.upper(), subtype=subtype)
        for number in range(_EACH):
            name = f"{subtype.lower()}{number:03}.{suffix}"
            (folder / name).write_bytes(_damaged(buffer.getvalue(), chance))
            lines.append(f"{name}|ጽሑፍ ቁጥር {len(lines)} ነው")
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return len(lines) - 1


def test_three_hundred_damaged_files(tmp_path: Path):
    count = _make(tmp_path / "in")
    report = run(tmp_path / "in", tmp_path / "out")
    assert report.total == count == report.kept + report.dropped == 320
    assert report.dropped > 150
    ledger = rows(tmp_path / "out/rejected.jsonl")
    assert len(ledger) == report.dropped
    assert {row["rule"] for row in ledger} >= {"unreadable"}
    assert all(row["reason"] and "\n" not in row["reason"] for row in ledger)
    for row in rows(tmp_path / "out/manifest.jsonl"):
        samples, _ = soundfile.read(tmp_path / "out" / row["audio_filepath"])
        assert np.isfinite(samples).all()
        assert all(np.isfinite(value) for value in row["measures"].values())
    run(tmp_path / "in", tmp_path / "two", jobs=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "out")


def test_damaged_tables_and_subtitles_end_in_a_ledger_or_one_line(tmp_path: Path):
    """16 sources: those that can be read still reconcile, the others are refused in one line and leave nothing."""
    chance, spans = random.Random(11), make_spans(2, seed=1)
    captions = srt(spans, sentences(2))
    table = "audio_file|text|speaker\n" + "".join(f"talk.wav|{text}|s\n" for text in SENTENCES[:3])
    row = '{"audio_filepath": "talk.wav", "text": "%s", "offset": %d, "duration": 1.5}\n'
    sources = {
        "metadata.csv": table,
        "manifest.json": "".join(row % (text, place) for place, text in enumerate(SENTENCES[:3])),
        "talk.srt": captions,
        "talk.vtt": "WEBVTT\n\n" + captions.replace(",", "."),
    }
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/talk.wav", make_talk(spans), 16000)
    said: list[str] = []
    for name, text in sources.items():
        for number in range(4):
            out = tmp_path / f"{name}{number}"
            (tmp_path / "in" / name).write_bytes(_damaged(text.encode(), chance))
            try:
                report = run(tmp_path / "in", out)
                assert report.total == report.kept + report.dropped
            except AmttsError as error:
                said.append(str(error))
            assert not out.exists() or (out / "rejected.jsonl").is_file()
        (tmp_path / "in" / name).unlink()
    assert len(said) < 16
    assert all("\n" not in line for line in said)
