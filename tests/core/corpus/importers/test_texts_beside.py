"""Recordings with a text each: LibriTTS, VCTK, LibriSpeech, two trees, twins, JSON beside; label tracks cut them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prepared import rows, run
from recordings import SENTENCES, speech, write_wav
from sources import clips, entries, make_files
from talks import make_talk

from amtts_core.corpus.importers import Fault, choose_importer
from amtts_core.corpus.subtitles.labels import read_labels

A, B, C, D = SENTENCES[:4]
SPANS = [(0.5, 2.5), (3.0, 5.25)]


def read(source: Path) -> list[tuple[str, str, str, str]]:
    assert choose_importer(source).name == "wav-txt"
    return [(clip.source, clip.text, clip.spoken, clip.speaker) for clip in clips(source)]


def test_libritts(tmp_path: Path):
    name = "train-clean/7021/8/7021_8"
    source = make_files(
        tmp_path,
        {
            f"{name}_0.wav": "x",
            f"{name}_0.original.txt": "5 ሰላም",
            f"{name}_0.normalized.txt": "አምስት ሰላም",
            f"{name}_1.wav": "x",
            f"{name}_1.normalized.txt": B,
            "README.txt": "-",
            "SPEAKERS.txt": "-",
        },
    )
    assert read(source) == [
        (f"{name}_0.wav", "5 ሰላም", "አምስት ሰላም", "7021"),
        (f"{name}_1.wav", B, "", "7021"),
    ]


def test_vctk_with_two_microphones(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "txt/p225/p225_001.txt": A,
            "txt/p226/p226_001.txt": B,
            "wav48_silence_trimmed/p225/p225_001_mic1.flac": "x",
            "wav48_silence_trimmed/p225/p225_001_mic2.flac": "x",
            "wav48_silence_trimmed/p226/p226_001_mic1.flac": "x",
            "wav48_silence_trimmed/p226/p226_002_mic1.flac": "x",
        },
    )
    tree = "wav48_silence_trimmed"
    assert read(source) == [
        (f"{tree}/p225/p225_001_mic1.flac", A, "", "p225"),
        (f"{tree}/p226/p226_001_mic1.flac", B, "", "p226"),
    ]
    faults = {e.source: e.finding.rule for e in entries(source) if isinstance(e, Fault)}
    assert faults == {
        f"{tree}/p225/p225_001_mic2.flac": "twin-recording",
        f"{tree}/p226/p226_002_mic1.flac": "empty-text",
    }


def test_two_trees_and_people_who_are_none(tmp_path: Path):
    source = make_files(tmp_path, {"text/1.txt": A, "text/2.txt": B, "audio/1.wav": "x", "audio/2.wav": "x"})
    assert read(source) == [("audio/1.wav", A, "", ""), ("audio/2.wav", B, "", "")]
    people = {
        "one/1.txt": A,
        "one/1.wav": "x",
        "one/2.txt": B,
        "two/2.wav": "x",
        "two/3.txt": C,
        "two/3.wav": "x",
    }
    source = make_files(tmp_path / "people", people)
    assert read(source) == [
        ("one/1.wav", A, "", "one"),
        ("two/3.wav", C, "", "two"),
    ]  # 2.txt is not said by two


def test_librispeech(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "84/121/84-121.trans.txt": f"84-121-0 {A}\n84-121-1 {B}\n",
            "84/121/84-121-0.flac": "x",
            "84/121/84-121-1.flac": "x",
        },
    )
    assert read(source) == [("84/121/84-121-0.flac", A, "", "84"), ("84/121/84-121-1.flac", B, "", "84")]


def test_a_recording_beside_its_conversion_is_one_clip(tmp_path: Path):
    for number, text in enumerate((A, B)):
        write_wav(tmp_path / f"in/{number}.wav", speech(number))
        write_wav(tmp_path / f"in/{number}.mp3", speech(number))
        make_files(tmp_path / "in", {f"{number}.txt": text})
    report = run(tmp_path / "in", tmp_path / "out")
    assert (report.total, report.kept, report.dropped, report.aside) == (4, 2, 0, {"twin-recording": 2})
    assert [row["id"] for row in rows(tmp_path / "out/manifest.jsonl")] == ["0", "1"]


def test_json_beside_each(tmp_path: Path):
    files = {
        "1.wav": "x",
        "1.json": json.dumps({"text": A, "speaker": "አበበ"}),
        "2.wav": "x",
        "2.json": json.dumps({"text": B, "lang": "en"}),
    }
    source = make_files(tmp_path, files)
    assert read(source) == [("1.wav", A, "", "አበበ")]
    assert [e.finding.rule for e in entries(source) if isinstance(e, Fault)] == ["other-language"]


AUDACITY = f"0.5\t2.5\t{A}\n\\\t100\t2000\n3,0\t5,25\t{B}\n6.0\t6.0\tምልክት\n"
ELAN = f"አበበ\t\t0.500\t2.500\t2.000\t{A}\nአልማዝ\t\t3.000\t5.250\t2.250\t{B}\n"
ELAN_ALL = (
    "Tier\tBegin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec\tText\n"
    f"አበበ\t00:00:00.500\t0.5\t00:00:02.500\t2.5\t{A}\nአልማዝ\t00:00:03.000\t3.0\t00:00:05.250\t5.25\t{B}\n"
)
LISTED = f"[00:00.500 --> 00:02.500]  {A}\n[00:03.000 --> 00:05.250]  {B}\n"
RANGES = f"00:00:00,500 - 00:00:02,500: {A}\n00:00:03,000 - 00:00:05,250: {B}\n"


@pytest.mark.parametrize(
    ("content", "speakers"),
    [
        (AUDACITY, ["", ""]),
        (ELAN, ["አበበ", "አልማዝ"]),
        (ELAN_ALL, ["አበበ", "አልማዝ"]),
        (LISTED, ["", ""]),
        (RANGES, ["", ""]),
    ],
)
def test_texts_with_times_cut_the_recording(tmp_path: Path, content: str, speakers: list[str]):
    write_wav(tmp_path / "session.wav", make_talk(SPANS))
    source = make_files(tmp_path, {"session.txt": content})
    for given in (source, source / "session.txt", source / "session.wav"):
        found = clips(given)
        assert [(clip.text, clip.start, clip.end) for clip in found] == [(A, *SPANS[0]), (B, *SPANS[1])]
        assert [clip.speaker for clip in found] == speakers


def test_labels_of_words_are_joined(tmp_path: Path):
    words = A.split()
    lab = "".join(f"{n * 5_000_000} {(n + 1) * 5_000_000} {word}\n" for n, word in enumerate(words))
    write_wav(tmp_path / "1.wav", speech(1, seconds=1.5))
    source = make_files(
        tmp_path, {"1.lab": f"{lab}{len(words) * 5_000_000} {(len(words) + 1) * 5_000_000} sil\n"}
    )
    assert [(clip.text, clip.start, clip.end) for clip in clips(source)] == [(A, 0.0, 0.5 * len(words))]
    assert [e.finding.rule for e in entries(source) if isinstance(e, Fault)] == ["not-speech"]


@pytest.mark.parametrize(
    "text", [A, "10 20 ሰዎች መጡ", "3 4 5", "1. ሰላም\n2. ደህና", "12:30 ላይ መጣ", "", "5\tሰላም", "ሀ\tለ\tመ\nሀ\tለ\tመ"]
)
def test_numbers_of_a_text_are_words(text: str):
    assert read_labels(text) is None


def test_labels_of_programs_are_no_words(tmp_path: Path):
    files = {"1.wav": "x", "1.txt": f"[SPEAKER_00]: {A}", "2.wav": "x", "2.txt": f"Speaker 1: {B}"}
    assert read(make_files(tmp_path, files)) == [
        ("1.wav", A, "", "SPEAKER_00"),
        ("2.wav", B, "", "Speaker 1"),
    ]


def test_times_between_spaces_cut_and_are_no_words(tmp_path: Path):
    write_wav(tmp_path / "talk.wav", make_talk(SPANS))
    lines = (f"{start:.2f} {end:.2f} {text}" for (start, end), text in zip(SPANS, (A, B), strict=True))
    make_files(tmp_path, {"talk.txt": "\n".join(lines)})
    assert [(clip.text, clip.start, clip.end) for clip in clips(tmp_path)] == [(A, *SPANS[0]), (B, *SPANS[1])]


@pytest.mark.parametrize(
    "content",
    [
        f"Speaker 1  0:00\n{A}\n\nSpeaker 2  0:03\n{B}",
        f"0:00\n{A}\n0:03\n{B}",
        f"[00:00.50] {A}\n[00:03.00] {B}",
        f"(0:00) {A}",
        f"00:00 {A}\n00:03 {B}",
    ],
)
def test_times_without_ends_are_never_words(tmp_path: Path, content: str):
    make_files(tmp_path, {"talk.wav": "x", "talk.txt": content})
    (found,) = entries(tmp_path)
    assert isinstance(found, Fault)
    assert found.finding.rule == "malformed-caption"


@pytest.mark.parametrize("content", [f"10:30 ላይ {A}", f"{A} ሰዓቱ 10:30", f"3 4 {A}", f"{A}\n10:30 ላይ {B}"])
def test_a_time_in_a_text_is_a_word(tmp_path: Path, content: str):
    make_files(tmp_path, {"talk.wav": "x", "talk.txt": content})
    assert [clip.text for clip in clips(tmp_path)] == [" ".join(content.split())]
