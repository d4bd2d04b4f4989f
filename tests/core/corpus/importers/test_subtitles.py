"""Videos and recordings with subtitles become clips whose cut points are the true ones."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import soundfile
from prepared import rows, run
from sources import clips, entries, make_files, rules
from talks import Span, clock, make_spans, make_talk, sentences, srt, write_media

from amtts_core.corpus.importers import Clip, Fault, choose_importer
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError
from amtts_core.text.normalizer import NormalizerSettings

SPANS = make_spans(14, seed=2)
TEXTS = sentences(14)


def assert_cut_at(found: list[Clip], spans: list[Span], tolerance: float = 0.15) -> None:
    """Each clip holds its sentence, and no more than a little silence around it."""
    for clip, (start, end) in zip(found, spans, strict=True):
        assert start - tolerance <= clip.start <= start + 0.03, (clip.where, clip.start, start)
        assert clip.end is not None
        assert end - 0.03 <= clip.end <= end + tolerance, (clip.where, clip.end, end)


@pytest.mark.parametrize("name", ["talk.mp4", "talk.webm", "talk.m4a", "talk.mkv", "talk.wav"])
def test_known_cut_points_are_found(tmp_path: Path, name: str):
    rate = 48000 if name.endswith(("webm", "mkv")) else 16000
    talk = make_talk(SPANS, rate=rate, offset=-0.05)
    if name.endswith(".wav"):
        soundfile.write(tmp_path / name, talk, rate)
    else:
        write_media(tmp_path / name, talk, rate=rate, video=name in ("talk.mp4", "talk.webm"))
    loose = [(start - 0.2, end + 0.25) for start, end in SPANS]
    make_files(tmp_path, {"talk.am.srt": srt(loose, TEXTS).encode("utf-16")})
    assert choose_importer(tmp_path).name == "subtitles"
    assert choose_importer(tmp_path / name).name == "subtitles"
    found = clips(tmp_path)
    assert [clip.text for clip in found] == TEXTS
    assert_cut_at(found, SPANS, tolerance=0.3)


def test_a_video_with_drift_becomes_a_corpus(tmp_path: Path):
    spans, texts = make_spans(30, seed=9), sentences(30)
    write_media(tmp_path / "in/talk.mp4", make_talk(spans), video=True)
    rate = 25 / 23.976
    written = [((start - 1.2) / rate, (end - 1.2) / rate) for start, end in spans]
    make_files(tmp_path / "in", {"talk.srt": srt(written[1:], texts[1:])})
    report = run(tmp_path / "in", tmp_path / "out")
    assert report.kept == 29
    assert any("did not run with the recording" in warning for warning in report.warnings)
    made = rows(tmp_path / "out/manifest.jsonl")
    for row, (start, end), text in zip(made, spans[1:], texts[1:], strict=True):
        assert row["text"] == text
        assert row["source"] == "talk.mp4"
        assert row["source_start"] == pytest.approx(start, abs=0.1)
        assert row["source_end"] == pytest.approx(end, abs=0.1)
        assert row["duration"] == pytest.approx(end - start, abs=0.15)
        assert (row["quality"], row["subtitles"]) == ("manual", "talk.srt")
    assert made[0]["id"] == "talk-0001"
    assert run(tmp_path / "in", tmp_path / "out").reused == 29


def test_everything_is_a_clip_or_a_ledger_row(tmp_path: Path):
    spans = make_spans(12, seed=4)
    texts = sentences(12)
    texts[2], texts[4], texts[6] = "♪ ላላ ♪", "- ሰላም\n- ደህና", "[ሙዚቃ]"
    broken = f"\n13\n{clock(9)} --> {clock(8)}\nወደ ኋላ\n\n14\n{clock(500)} --> {clock(502)}\nከመጨረሻው በኋላ።\n"
    soundfile.write(tmp_path / "talk.flac", make_talk(spans), 16000)
    make_files(
        tmp_path,
        {
            "talk.srt": srt(spans, texts) + broken,
            "talk.en.srt": srt(spans, ["hello"] * 12),
            "alone.vtt": "WEBVTT\n",
            "silent.mp3": "x",
            "bad.wav": "x",
            "bad.srt": srt(spans, texts),
            "odd.wav": "x",
            "odd.srt": b"\xe1\x88\n\xff",
            "empty.wav": "x",
            "empty.srt": "ሰላም\n",
        },
    )
    found = entries(tmp_path)
    faults = {fault.where: fault.finding.rule for fault in found if isinstance(fault, Fault)}
    assert faults == {
        "talk.srt:3": "not-speech",
        "talk.srt:5": "two-speakers",
        "talk.srt:7": "not-speech",
        "talk.srt:13": "malformed-caption",
        "talk.srt:14": "malformed-caption",
        "talk.en.srt": "other-subtitles",
        "alone.vtt": "missing-file",
        "silent.mp3": "empty-text",
        "bad.srt": "unreadable",
        "odd.srt": "unreadable",
        "empty.srt": "empty-text",
    }
    kept = [clip for clip in found if isinstance(clip, Clip)]
    assert [clip.tags["captions"] for clip in kept] == ["1", "2", "4", "6", *map(str, range(8, 13))]


def test_rolling_captions_are_marked_auto(tmp_path: Path):
    soundfile.write(tmp_path / "talk.wav", make_talk(SPANS), 16000)
    blocks, before = ["WEBVTT\n"], " "
    for (start, end), text in zip(SPANS, TEXTS, strict=True):
        blocks.append(f"{clock(start, '.')} --> {clock(end - 0.01, '.')}\n{before}\n{text}\n")
        blocks.append(f"{clock(end - 0.01, '.')} --> {clock(end, '.')}\n{text}\n \n")
        before = text
    make_files(tmp_path, {"talk.am.vtt": "\n".join(blocks)})
    found = clips(tmp_path)
    assert " ".join(clip.text for clip in found) == " ".join(TEXTS)
    assert {clip.tags["quality"] for clip in found} == {"auto"}
    assert set(rules(tmp_path).values()) == {"repeated-caption"}


def test_the_sound_track_of_the_wanted_language_is_taken(tmp_path: Path):
    from amtts_core.audio.io import decode

    one = abs(decode(write_media(tmp_path / "one.mp4", make_talk(SPANS))).samples).max()
    path = write_media(tmp_path / "talk.mp4", make_talk(SPANS), languages=("eng", "amh"))
    for languages, factor in (((), 1.0), (("am", "amh"), 0.3), (("ti", "tir"), 1.0)):
        found = abs(decode(path, languages=languages).samples).max()
        assert found == pytest.approx(factor * one, rel=0.1), languages


def test_a_video_with_its_text_is_read_in_the_wanted_language(tmp_path: Path):
    """The Amharic track is 10 dB down, and too quiet here; which track to read, only `--language` says."""
    write_media(tmp_path / "in/talk.mp4", make_talk(SPANS[:2]), languages=("tir", "amh"))
    (tmp_path / "in/talk.txt").write_text("ሰላም", encoding="utf-8")
    silence = 20 * math.log10(abs(make_talk(SPANS[:2])).max()) - 15

    def prepare(language: str) -> int:
        settings = PrepareSettings(
            normalizer=NormalizerSettings(language=language), max_duration=60.0, silence=silence
        )
        return run(tmp_path / "in", tmp_path / language, settings).kept

    assert prepare("ti") == 1
    with pytest.raises(AmttsError, match="1 silent"):
        prepare("am")


def test_cuts_of_a_video_are_exact(tmp_path: Path):
    from amtts_core.audio.decoded import AudioError, AudioTooLongError
    from amtts_core.audio.io import decode

    talk = make_talk(SPANS)
    path = write_media(tmp_path / "talk.mp4", talk, video=True)
    whole = decode(path).samples
    for start in (0.0, 0.1, 3.217, 20.0):
        part = decode(path, start=start, duration=1.5).samples
        first = round(start * 16000)
        assert len(part) == 24000
        assert abs(part - whole[first : first + 24000]).max() < 0.02
    with pytest.raises(AudioError, match="ends before"):
        decode(path, start=500.0, duration=1)
    with pytest.raises(AudioTooLongError):
        decode(path, max_duration=2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError):
        decode(path)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_media(tmp_path / "talk.mp4", make_talk(SPANS))
    make_files(tmp_path, {"talk.srt": srt(SPANS, TEXTS)})
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AmttsError, match=r"pip install 'amtts\[video\]'"):
        entries(tmp_path)


@pytest.mark.parametrize("damage", [b"\xff", b"\x00\x00\x00", "ጽ".encode()[:2]])
def test_a_damaged_byte_costs_its_caption_and_not_the_file(tmp_path: Path, damage: bytes):
    spans = make_spans(4, seed=3)
    soundfile.write(tmp_path / "talk.wav", make_talk(spans), 16000)
    text = srt(spans, sentences(4)).encode()
    place = text.index(sentences(4)[1].encode()) + 3
    (tmp_path / "talk.srt").write_bytes(text[:place] + damage + text[place:])
    assert len(clips(tmp_path / "talk.srt")) == 3
    assert list(rules(tmp_path / "talk.srt").values()) == ["malformed-caption"]


@pytest.mark.parametrize("form", ["talk_{}.srt", "talk-{}.srt", "talk ({}).srt", "talk.{}.srt"])
def test_the_language_is_marked_in_the_name_in_any_way(tmp_path: Path, form: str):
    soundfile.write(tmp_path / "talk.wav", make_talk(SPANS), 16000)
    foreign = srt(SPANS, ["Good morning everyone."] * len(SPANS))
    named = {"am": srt(SPANS, TEXTS), "en": foreign, "tigrinya": srt(SPANS, ["ከመይ ሓዲርኩም።"] * len(SPANS))}
    make_files(tmp_path, {form.format(mark): content for mark, content in named.items()})
    assert [clip.text for clip in clips(tmp_path)] == TEXTS
    assert set(rules(tmp_path).values()) == {"other-subtitles"}


def test_captions_in_another_language_of_the_same_letters_are_set_aside(tmp_path: Path):
    soundfile.write(tmp_path / "talk.wav", make_talk(SPANS), 16000)
    make_files(tmp_path, {"talk.ti.srt": srt(SPANS, ["ከመይ ሓዲርኩም።"] * len(SPANS))})
    assert rules(tmp_path) == {"talk.wav": "other-language"}
