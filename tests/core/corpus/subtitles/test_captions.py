"""Subtitle files as they are found: every dirt of the field is read, and what is left out has a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.corpus.subtitles.clean import clean_track
from amtts_core.corpus.subtitles.cue import Track
from amtts_core.corpus.subtitles.cut import merge_sentences
from amtts_core.corpus.subtitles.parse import parse_subtitles
from amtts_core.corpus.subtitles.untangle import untangle


def read(text: str) -> Track:
    return untangle(clean_track(parse_subtitles(text)))


def said(text: str) -> list[tuple[float, float, str]]:
    return [(cue.start, cue.end, cue.text) for cue in read(text).cues]


def reasons(text: str) -> dict[int, str]:
    return {cue.number: finding.rule for cue, finding in read(text).dropped}


TWO = [(1.0, 2.5, "ሰላም ለሁሉም"), (3.0, 4.0, "ደህና ዋሉ")]
BODY = "1\n00:00:01,000 --> 00:00:02,500\nሰላም ለሁሉም\n\n2\n00:00:03,000 --> 00:00:04,000\nደህና ዋሉ\n"


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        BODY.replace("\n", "\r\n"),
        BODY.replace("\n", "\r"),
        "\ufeff" + BODY,
        BODY.rstrip("\n"),
        BODY.replace(",", "."),
        BODY.replace("1\n00", "00").replace("2\n00", "00"),
        BODY.replace("2\n00:00:03", "1\n00:00:03"),
        BODY.replace("\n\n2\n", "\n2\n"),
        BODY.replace("\n\n2\n", "\n\n\n \n2\n"),
        BODY.replace("\n\n2\n", "\n\n"),
        BODY.replace(" --> ", "-->"),
        BODY.replace("02,500", "02,500 X1:100 X2:200 Y1:1 Y2:2"),
        BODY.replace(",500", ",5").replace(",000", ",0"),
        BODY.replace(",000", ""),
        BODY.replace("00:00:0", "0:0:"),
        BODY.replace("00:00:", "00:"),
        BODY.replace("ሰላም ", "ሰላም\n \n"),
        BODY.replace("ሰላም ", "ሰላም\n"),
        BODY.replace("ሰላም ", "ሰላም\n\n"),
        BODY.replace("ሰላም", "<i>ሰላም</i>").replace("ዋሉ", '<font color="#fff">ዋሉ</font>'),
        BODY.replace("ሰላም", "{\\an8}ሰላም").replace("ሰላም ", "ሰላም\\N"),
        BODY.replace("ሰላም ", "&#4656;ላም&nbsp;"),
        BODY.replace("ሰላም", "\u200bሰላም\u200f"),
        BODY.replace("ሰላም", "[ሙዚቃ] ሰላም"),
        BODY.replace("ሰላም", "- ሰላም"),
        BODY.replace("ሰላም", ">> ሰላም"),
        "WEBVTT - title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE ይህ ማስታወሻ ነው\nሁለት\n\n"
        + BODY.replace(",", ".").replace("1\n00", "intro\n00").replace("500", "500 align:start position:0%"),
        "WEBVTT\n\n00:01.000 --> 00:02.500\nሰላም ለሁሉም\n\nNOTE\nማስታወሻ\n\n00:03.000 --> 00:04.000\nደህና ዋሉ\n\nNOTE x",
    ],
)
def test_dirt_does_not_change_what_is_said(text: str):
    assert said(text) == TWO
    assert not reasons(text)


@pytest.mark.parametrize(
    ("caption", "rule"),
    [
        ("♪ ላላ ላላ ♪", "not-speech"),
        ("[ሙዚቃ]", "not-speech"),
        ("(ጭብጨባ)", "not-speech"),
        ("[Music]", "not-speech"),
        ("<i></i>", "empty-text"),
        ("...", "not-speech"),
        ("- ሰላም\n- ደህና", "two-speakers"),
        ("– ሰላም\n– ደህና", "two-speakers"),
        (">> ሰላም >> ደህና", "two-speakers"),
        ("አበበ፦ ሰላም\nከበደ፦ ደህና", "two-speakers"),
        ("<v አበበ>ሰላም</v> <v ከበደ>ደህና</v>", "two-speakers"),
    ],
)
def test_captions_that_are_no_speech_of_one_person(caption: str, rule: str):
    assert reasons(BODY.replace("ሰላም ለሁሉም", caption)) == {1: rule}
    assert said(BODY.replace("ሰላም ለሁሉም", caption)) == TWO[1:]


@pytest.mark.parametrize(
    ("caption", "speaker", "text"),
    [
        ("አበበ፦ ሰላም ለሁሉም", "አበበ", "ሰላም ለሁሉም"),
        ("አቶ ከበደ፦\nሰላም ለሁሉም", "አቶ ከበደ", "ሰላም ለሁሉም"),
        ("አበበ: ሰላም", "አበበ", "ሰላም"),
        ("<v.loud አበበ ከበደ>ሰላም", "አበበ ከበደ", "ሰላም"),
        ("እንዲህ አለ፦ ሰላም", "", "እንዲህ አለ፦ ሰላም"),
        ("ሰዓቱ 3:30 ነው", "", "ሰዓቱ 3:30 ነው"),
    ],
)
def test_speaker_labels(caption: str, speaker: str, text: str):
    first = read(BODY.replace("ሰላም ለሁሉም", caption)).cues[0]
    assert (first.speaker, first.text) == (speaker, text)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("00:00:05,000 --> 00:00:04,000", "malformed-caption"),
        ("00:00:05,000 --> 00:00:05,000", "malformed-caption"),
        ("00:00:0x --> 00:00:04", "malformed-caption"),
        ("-->", "malformed-caption"),
    ],
)
def test_times_that_cannot_be_used(line: str, rule: str):
    text = BODY.replace("00:00:03,000 --> 00:00:04,000", line)
    assert reasons(text) == {2: rule}
    assert said(text) == TWO[:1]


def rolling(phrases: list[str], *, step: float = 2.0) -> str:
    """YouTube's automatic captions: each phrase is shown twice, with a hold cue of 10 ms between."""
    out, before = ["WEBVTT\nKind: captions\nLanguage: am\n"], " "
    for number, phrase in enumerate(phrases):
        start, end = number * step, (number + 1) * step - 0.01
        first, *rest = phrase.split()
        words = first + "".join(f"<00:00:{start + 0.3:06.3f}><c> {word}</c>" for word in rest)
        time = "00:00:{:06.3f} --> 00:00:{:06.3f} align:start position:0%"
        out.append(f"{time.format(start, end)}\n{before}\n{words}\n")
        out.append(f"{time.format(end, end + 0.01)}\n{phrase}\n \n")
        before = phrase
    return "\n".join(out)


PHRASES = ["ሰላም ለሁሉም ይሁን ወገኖቼ", "ዛሬ ገበያ ሄድኩ", "አዎ", "ልጁ መጽሐፍ ያነባል ብዬ", "ሁለት"]


@pytest.mark.parametrize("stamps", [True, False])
def test_rolling_captions_say_each_word_once(stamps: bool):
    text = rolling(PHRASES)
    if not stamps:  # as yt-dlp converts them to SRT
        import re

        text = re.sub(r"<[^>]*>", "", text)
    track = read(text)
    assert [cue.text for cue in track.cues] == PHRASES
    assert track.auto
    assert [cue.start for cue in track.cues] == [0, 2, 4, 6, 8]
    assert all(a.end <= b.start for a, b in zip(track.cues, track.cues[1:], strict=False))
    assert len(track.cues) + len(track.dropped) == 2 * len(PHRASES)
    assert {finding.rule for _, finding in track.dropped} == {"repeated-caption"}


def cues(*rows: tuple[float, float, str]) -> str:
    return "\n\n".join(f"00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{text}" for a, b, text in rows)


def test_captions_that_overlap():
    assert reasons(cues((1, 3, "አንድ ሰው"), (2, 4, "ሌላ ሰው"), (5, 6, "ሦስተኛ"))) == {
        1: "overlapping-captions",
        2: "overlapping-captions",
    }
    assert said(cues((1, 3.1, "አንድ"), (3, 4, "ሌላ"))) == [(1, 3, "አንድ"), (3, 4, "ሌላ")]
    assert said(cues((1, 2, "አንድ"), (1, 3, "አንድ ሰው"))) == [(1, 3, "አንድ ሰው")]
    assert said(cues((1, 2, "አንድ"), (2, 2.01, "አንድ"), (2.5, 3, "አንድ"))) == [(1, 2.01, "አንድ"), (2.5, 3, "አንድ")]
    placeholders = cues(*((n, n + 3, f"{word} ነው") for n, word in enumerate("ሀለሐመሠ", 1)))
    assert [end for _, end, _ in said(placeholders)] == [2, 3, 4, 5, 8]
    assert said(cues((5, 6, "ሁለት"), (1, 2, "አንድ"))) == [(1, 2, "አንድ"), (5, 6, "ሁለት")]


def merged(*rows: tuple[float, float, str], auto: bool = False) -> list[tuple[float, float, str]]:
    return [(c.start, c.end, c.text) for c in merge_sentences(read(cues(*rows)).cues, auto=auto)]


def test_captions_become_sentences():
    assert merged((1, 3, "ዛሬ ገበያ"), (3.1, 5, "ሄድኩ።"), (5.2, 7, "ቡና ገዛሁ።")) == [
        (1, 5, "ዛሬ ገበያ ሄድኩ።"),
        (5.2, 7, "ቡና ገዛሁ።"),
    ]
    assert len(merged((1, 3, "ዛሬ"), (3.6, 5, "ሄድኩ።"))) == 2  # too far apart
    assert len(merged((1, 9, "ዛሬ"), (9.1, 17, "ሄድኩ።"))) == 2  # too long together
    assert merged((1, 3, "ሄድኩ።"), (3.1, 3.6, "አዎ።")) == [(1, 3.6, "ሄድኩ። አዎ።")]  # too short alone
    assert len(merged((1, 3, "አበበ፦ ዛሬ"), (3.1, 5, "ከበደ፦ ሄድኩ።"))) == 2
    assert len(merged((1, 3, "ዛሬ"), (3.1, 5, "ሄድኩ"))) == 2  # a file without marks: each caption is a sentence
    assert len(merged((1, 3, "ዛሬ"), (3.1, 5, "ሄድኩ"), auto=True)) == 1


LINES = st.one_of(
    st.sampled_from(
        ["", " ", "1", "WEBVTT", "NOTE x", "STYLE", "-->", "<", "♪", "- ሀ", "አ፦ ለ", "{\\an8}", "&amp;"]
    ),
    st.builds(lambda a, b: f"{a}:{b:02} --> {b}:{a:02}.5", st.integers(0, 99), st.integers(0, 99)),
    st.builds(lambda a, b: f"00:00:{a:02},0 --> 00:00:{b:02},0", st.integers(0, 60), st.integers(0, 60)),
    st.text(max_size=20),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=40), st.sampled_from(["\n", "\r\n", "\r"]))
def test_no_text_breaks_the_parser_and_no_caption_is_lost(lines: list[str], end: str):
    parsed = parse_subtitles(end.join(lines))
    total = len(parsed.cues) + len(parsed.dropped)
    track = untangle(clean_track(parsed))
    numbers = [cue.number for cue in track.cues] + [cue.number for cue, _ in track.dropped]
    assert sorted(numbers) == list(range(1, total + 1))
    assert all(a.start <= a.end <= b.start for a, b in zip(track.cues, track.cues[1:], strict=False))
    cuts = merge_sentences(track.cues, auto=track.auto)
    assert [cue for cut in cuts for cue in cut.cues] == track.cues
