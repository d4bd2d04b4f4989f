"""TextGrid, ELAN, ASS, Whisper's files; languages and sound tracks; captions that do not fit their recording."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from prepared import LENIENT, run
from sources import clips, entries, make_files
from talks import clock, make_spans, make_talk, sentences, srt, write_media

from amtts_core.audio.io import decode
from amtts_core.corpus.importers import Fault, ReadOptions, choose_importer
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError

SPANS = make_spans(8, seed=3)
TEXTS = sentences(8)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "talk.wav", make_talk(SPANS), 16000)
    return tmp_path


def textgrid(tiers: dict[str, list[tuple[float, float, str]]], length: float) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {length}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, segments) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += [
            "        xmin = 0",
            f"        xmax = {length}",
            f"        intervals: size = {len(segments)}",
        ]
        for place, (start, end, text) in enumerate(segments, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {start}",
                f"            xmax = {end}",
            ]
            lines += [f'            text = "{text}"']
    return "\n".join(lines) + "\n"


def filled(
    spans: list[tuple[float, float]], texts: list[str], length: float
) -> list[tuple[float, float, str]]:
    """Intervals with empty ones between them, as Praat wants it."""
    out: list[tuple[float, float, str]] = []
    at = 0.0
    for (start, end), text in zip(spans, texts, strict=True):
        out += [(at, start, ""), (start, end, text)]
        at = end
    return [*out, (at, length, "")]


LENGTH = SPANS[-1][1] + 1


def test_textgrid(talk: Path):
    tiers = {"phones": filled(SPANS, ["s ə l a m"] * 8, LENGTH), "utterance": filled(SPANS, TEXTS, LENGTH)}
    make_files(talk, {"talk.TextGrid": textgrid(tiers, LENGTH)})
    for source in (talk, talk / "talk.TextGrid", talk / "talk.wav"):
        assert [(c.text, c.start, c.end, c.speaker) for c in clips(source)] == [
            (text, *span, "") for text, span in zip(TEXTS, SPANS, strict=True)
        ]


def test_tiers_are_people_and_who_speaks_at_once_is_left_out(talk: Path):
    both = [(SPANS[1][0] + 0.2, SPANS[1][1])]
    tiers = {
        "አበበ": filled(SPANS[:4], TEXTS[:4], LENGTH),
        "አልማዝ": filled([*both, *SPANS[4:]], [TEXTS[7], *TEXTS[4:]], LENGTH),
    }
    make_files(talk, {"talk.TextGrid": textgrid(tiers, LENGTH)})
    assert [c.speaker for c in clips(talk)] == ["አበበ"] * 3 + ["አልማዝ"] * 4
    rules = [e.finding.rule for e in entries(talk) if isinstance(e, Fault)]
    assert rules == ["overlapping-captions"] * 2


def test_tiers_of_words_are_joined(talk: Path):
    words, spans = [], []
    for (start, end), text in zip(SPANS, TEXTS, strict=True):
        edges = np.linspace(start, end, len(text.split()) + 1).round(3)
        spans += list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        words += text.split()
    make_files(talk, {"talk.TextGrid": textgrid({"words": filled(spans, words, LENGTH)}, LENGTH)})
    found = clips(talk)
    assert [clip.text for clip in found] == TEXTS
    assert [(clip.start, clip.end) for clip in found] == [pytest.approx(span, abs=0.002) for span in SPANS]


def eaf(media: str) -> str:
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="a{n}" TIME_VALUE="{round(1000 * start)}"/><TIME_SLOT TIME_SLOT_ID="b{n}" '
        f'TIME_VALUE="{round(1000 * end)}"/>'
        for n, (start, end) in enumerate(SPANS)
    )
    phones = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="p{n}" TIME_SLOT_REF1="a{n}" TIME_SLOT_REF2="b{n}">'
        "<ANNOTATION_VALUE>səlam</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for n in range(8)
    )
    texts = "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="t{n}" ANNOTATION_REF="p{n}"><ANNOTATION_VALUE>{text}'
        "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for n, text in enumerate(TEXTS)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">'
        f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/data/{media}"/></HEADER><TIME_ORDER>{slots}</TIME_ORDER>'
        f'<TIER TIER_ID="phones">{phones}</TIER><TIER TIER_ID="text" PARTICIPANT="አበበ">{texts}</TIER>'
        "</ANNOTATION_DOCUMENT>"
    )


def test_elan(talk: Path):
    make_files(talk, {"annotated.eaf": eaf("talk.wav")})
    assert [(c.text, c.start, c.speaker) for c in clips(talk / "annotated.eaf")] == [
        (text, round(span[0], 3), "አበበ") for text, span in zip(TEXTS, SPANS, strict=True)
    ]
    for content, said in (
        (eaf("talk.wav")[:900], "damaged"),
        (eaf("talk.wav").replace("<HEADER", "<!ENTITY><HEADER"), "entities"),
    ):
        make_files(talk, {"annotated.eaf": content})
        [fault] = [e for e in entries(talk) if isinstance(e, Fault)]
        assert said in fault.finding.reason


def ass() -> str:
    def at(time: float) -> str:
        return clock(time, ".")[1:-1]

    lines = "".join(
        f"Dialogue: 0,{at(start)},{at(end)},Default,አበበ,0,0,0,,{{\\i1}}{text}\n"
        for (start, end), text in zip(SPANS, TEXTS, strict=True)
    )
    return (
        "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, "
        f"MarginV, Effect, Text\nComment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,note\n{lines}"
    )


def segments() -> list[dict[str, object]]:
    return [
        {"start": start, "end": end, "text": f" {text}", "speaker": "SPEAKER_00"}
        for (start, end), text in zip(SPANS, TEXTS, strict=True)
    ]


def milliseconds(header: str) -> str:
    rows = (f"{round(1000 * s)}\t{round(1000 * e)}\t{t}" for (s, e), t in zip(SPANS, TEXTS, strict=True))
    return "\n".join((header, *rows)) + "\n"


OFFSETS = [
    {"offsets": {"from": round(1000 * s), "to": round(1000 * e)}, "text": t}
    for (s, e), t in zip(SPANS, TEXTS, strict=True)
]
SBV = "".join(
    f"{clock(s, '.')[1:]},{clock(e, '.')[1:]}\n{t}\n\n" for (s, e), t in zip(SPANS, TEXTS, strict=True)
)


@pytest.mark.parametrize(
    ("name", "content", "speaker"),
    [
        ("talk.ass", ass(), "አበበ"),
        ("talk.json", json.dumps({"text": " ".join(TEXTS), "segments": segments()}), "SPEAKER_00"),
        ("talk.wav.json", json.dumps({"transcription": OFFSETS}), ""),
        ("talk.tsv", milliseconds("start\tend\ttext"), ""),
        ("talk.sbv", SBV, ""),
        ("talk.wav.srt", srt(SPANS, TEXTS), ""),
    ],
)
def test_captions_of_other_programs(talk: Path, name: str, content: str, speaker: str):
    make_files(talk, {name: content})
    for source in (talk, talk / name):
        assert choose_importer(source).name == "subtitles"
        assert [(clip.text, clip.speaker) for clip in clips(source)] == [(text, speaker) for text in TEXTS]


def test_one_of_many_files_is_read_and_the_rest_set_aside(talk: Path):
    make_files(
        talk,
        {
            "talk.srt": srt(SPANS, TEXTS),
            "talk.vtt": "WEBVTT\n\n" + srt(SPANS, TEXTS).replace(",", "."),
            "talk.tsv": milliseconds("start\tend\ttext"),
            "talk.json": json.dumps({"segments": segments()}),
            "talk.txt": "\n".join(TEXTS),
        },
    )
    assert choose_importer(talk).name == "subtitles"
    assert {e.where for e in entries(talk) if isinstance(e, Fault)} == {"talk.vtt", "talk.tsv", "talk.json"}
    assert [clip.text for clip in clips(talk)] == TEXTS


def test_the_wanted_language_is_taken(talk: Path):
    english = ["Good morning to everyone."] * 8
    for names, chosen in (
        ((".ab", ".en", ".am-orig"), ".am-orig"),
        ((".en", ".am-en", ".am"), ".am"),
        ((".1", ".2"), ".2"),
    ):
        for name in names:
            make_files(talk, {f"talk{name}.srt": srt(SPANS, TEXTS if name == chosen else english)})
        assert {clip.tags["subtitles"] for clip in clips(talk)} == {f"talk{chosen}.srt"}
        for name in names:
            (talk / f"talk{name}.srt").unlink()


@pytest.mark.parametrize("form", ["two lines", "one line", "two captions"])
def test_of_two_languages_one_is_read(talk: Path, form: str):
    english = [f"My mother bought {n} tomatoes." for n in range(8)]
    if form == "two captions":
        both, spans = (
            [text for pair in zip(TEXTS, english, strict=True) for text in pair],
            [s for s in SPANS for _ in range(2)],
        )
    else:
        sign = "\n" if form == "two lines" else " / "
        both, spans = [f"{a}{sign}{b}" for a, b in zip(TEXTS, english, strict=True)], SPANS
    make_files(talk, {"talk.srt": srt(spans, both)})
    assert [clip.text for clip in clips(talk)] == TEXTS
    assert {e.finding.rule for e in entries(talk) if isinstance(e, Fault)} <= {"other-language"}


def test_a_foreign_word_is_a_word(talk: Path):
    texts = [*TEXTS[:7], "iPhone 15 ገዛሁ።"]
    make_files(talk, {"talk.srt": srt(SPANS, texts)})
    assert [clip.text for clip in clips(talk)] == texts


def test_captions_of_another_recording_are_refused(tmp_path: Path):
    spans, other = make_spans(20, seed=5), make_spans(20, seed=77)
    soundfile.write(
        tmp_path / "in/talk.wav" if (tmp_path / "in").mkdir() is None else "", make_talk(spans), 16000
    )
    make_files(tmp_path / "in", {"talk.srt": srt(other, sentences(20))})
    with pytest.raises(AmttsError, match="20 captions-do-not-fit"):
        run(tmp_path / "in", tmp_path / "out", LENIENT)
    assert run(tmp_path / "in", tmp_path / "flagged", PrepareSettings(max_rejected=1.0, fit="flag")).kept > 10
    make_files(tmp_path / "in", {"talk.srt": srt(spans, sentences(20))})
    assert run(tmp_path / "in", tmp_path / "right").kept == 20


def test_the_sound_track_that_fits_is_taken(tmp_path: Path):
    spans, texts = make_spans(20, seed=5), sentences(20)
    right, wrong = make_talk(spans), make_talk(make_spans(20, seed=78))
    length = min(len(right), len(wrong))
    two_tracks(tmp_path / "talk.mp4", wrong[:length], right[:length])
    make_files(tmp_path, {"talk.srt": srt(spans[:15], texts[:15])})
    reading = choose_importer(tmp_path).read(tmp_path)
    found = [entry for entry in reading.entries if not isinstance(entry, Fault)]
    assert {clip.track for clip in found} == {1}
    assert any("number 2 fits the captions best" in warning for warning in reading.warnings)
    part = decode(found[0].path, start=found[0].start, duration=1.0, track=1).samples
    first = round(found[0].start * 16000)
    assert np.corrcoef(part, right[first : first + len(part)])[0, 1] > 0.9


def two_tracks(path: Path, first: np.ndarray, second: np.ndarray) -> None:
    import av

    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("aac", rate=16000, layout="mono") for _ in range(2)]
        for track, samples in zip(tracks, (first, second), strict=True):
            frame = av.AudioFrame.from_ndarray(
                (samples[None] * 32767).astype(np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, 0
            resampler = av.AudioResampler(
                track.format.name, "mono", 16000, frame_size=track.codec_context.frame_size or 1024
            )
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(track.encode(part))
            container.mux(track.encode(None))


def test_one_side_of_a_talk(tmp_path: Path):
    other = make_talk(make_spans(8, seed=9))
    mine = make_talk(SPANS)
    length = min(len(mine), len(other))
    soundfile.write(tmp_path / "talk.wav", np.stack([other[:length], mine[:length]], axis=1), 16000)
    make_files(tmp_path, {"talk.srt": srt(SPANS[:6], TEXTS[:6])})
    options = ReadOptions(channel=1)
    found = list(choose_importer(tmp_path).read(tmp_path, options).entries)
    assert [getattr(entry, "channel", None) for entry in found] == [1] * 6


def test_a_video_without_captions_says_so(tmp_path: Path):
    write_media(tmp_path / "talk.mkv", make_talk(SPANS, rate=48000), rate=48000)
    with pytest.raises(
        AmttsError, match="no text of the same name lies beside it, nor captions inside of it"
    ):
        choose_importer(tmp_path / "talk.mkv")


def test_the_last_label_counts_without_a_line_end_after_it(talk: Path):
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "9", "<exists>", "1"]
    tier = ['"IntervalTier"', '"t"', "0", "9", "2", "0", "0.5", '""', "0.5", "2.5", f'"{TEXTS[0]}"']
    short = "\n".join([*head, *tier])
    make_files(talk, {"talk.TextGrid": short})
    assert [(clip.text, clip.start, clip.end) for clip in clips(talk)] == [(TEXTS[0], 0.5, 2.5)]
