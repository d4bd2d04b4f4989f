"""Pauses, paragraphs, tags and the subset of SSML; what a voice says of them."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_voice import tiny_backend, tiny_voice

from amtts_core.errors import AmttsError
from amtts_core.synthesis.engine import Synthesizer
from amtts_core.synthesis.script import Say, Silence, read_script
from amtts_core.synthesis.stitch import PARAGRAPH_PAUSE, SENTENCE_PAUSE, Pauses
from amtts_core.text.amharic.from_ipa import from_ipa
from amtts_core.text.language import get_language
from amtts_core.text.normalizer import Normalizer


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    return Synthesizer.from_checkpoint(tiny_voice(tmp_path_factory.mktemp("voice"))[1])


def said(text: str) -> list[str]:
    return [part.text if isinstance(part, Say) else f"{part.seconds:g}" for part in read_script(text)]


# ---- lines and paragraphs ----


def test_a_line_end_inside_a_wrapped_paragraph_is_a_space(voice: Synthesizer) -> None:
    wrapped = "እናቴ ዛሬ ጠዋት ከገበያ ቲማቲም ገዛች። አባቴ ማታ\nከሥራ ሲመለስ ትኩስ ዳቦ ይዞ ይመጣል።\nትንሿ እህቴ አሻንጉሊቷን አቅፋ\nተኝታለች።"
    one_line = " ".join(wrapped.split())
    assert voice.stretches(wrapped) == voice.stretches(one_line)


def test_blank_lines_headings_and_lists_keep_their_pause(voice: Synthesizer) -> None:
    assert said("አንድ ሁለት\n\nሶስት\n \nአራት") == ["አንድ ሁለት", "ሶስት", "አራት"]
    assert said("ምዕራፍ አንድ\nእናቴ ዛሬ ጠዋት ከገበያ ቲማቲምና ሽንኩርት ገዛች") == [
        "ምዕራፍ አንድ",
        "እናቴ ዛሬ ጠዋት ከገበያ ቲማቲምና ሽንኩርት ገዛች",
    ]
    assert said("# ርዕስ\nሰላም") == ["# ርዕስ", "ሰላም"]
    assert said("የሚገዙ፦\n- ዳቦ\n- ወተት\n1. ቡና") == ["የሚገዙ፦", "- ዳቦ", "- ወተት", "1. ቡና"]
    assert [s.pause for s in voice.stretches("ሰላም። ለአለም\n\nበቃ")] == [
        SENTENCE_PAUSE,
        PARAGRAPH_PAUSE,
        PARAGRAPH_PAUSE,
    ]


# ---- pauses ----


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("[pause:1.5s]", 1.5), ("[pause: 300ms]", 0.3), ("[PAUSE=2s]", 2), ('<break time="2s"/>', 2)]
    + [('<break time="250ms" />', 0.25), ('<break strength="strong"/>', 0.7), ("<break/>", 0.35)],
)
def test_a_pause_is_exactly_as_long_as_asked_for_at_any_pace(
    voice: Synthesizer, text: str, seconds: float
) -> None:
    for speed in (1.0, 2.0):
        speech = voice.speak(f"ሰላም።{text}ለአለም።", speed=speed)
        (_, first_ends), (second_begins, second_ends) = speech.places
        assert second_begins - first_ends == round(seconds * speech.sample_rate)
        assert not speech.waveform[first_ends:second_begins].any()
        assert second_ends == len(speech.waveform)


def test_pauses_at_both_ends_and_in_a_row_and_streamed(voice: Synthesizer) -> None:
    text = "[pause:0.5s]ሰላም።[pause:1s] [pause:1s]ለአለም።[pause:0.25s]"
    speech = voice.speak(text)
    rate = speech.sample_rate
    assert speech.places[0][0] == round(0.5 * rate)
    assert speech.places[1][0] - speech.places[0][1] == 2 * rate
    assert len(speech.waveform) - speech.places[1][1] == round(0.25 * rate)
    streamed = np.concatenate(list(voice.stream(text).pieces))
    assert np.abs(streamed - speech.waveform).max() < 1e-4


def test_pauses_of_the_caller(voice: Synthesizer) -> None:
    text = "ሰላም። ለአለም።\n\nበቃ።"
    pauses = [s.pause for s in voice.read(text, pauses=Pauses(sentence=1.0, paragraph=2.0)).stretches]
    assert pauses == [1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "text", ["[pause:long]", "[pause]", "[pause:5m]", "[pause:999s]", '<break time="soon"/>']
)
def test_pauses_that_cannot_be_read_are_named(voice: Synthesizer, text: str) -> None:
    with pytest.raises(AmttsError, match="pause|time"):
        voice.speak(f"ሰላም {text} ለአለም")


def test_a_text_of_nothing_but_a_pause_is_refused(voice: Synthesizer) -> None:
    with pytest.raises(AmttsError, match="nothing to speak"):
        voice.speak("[pause:1s]")


# ---- SSML ----


def test_tags_are_never_spoken(voice: Synthesizer) -> None:
    document = (
        '<?xml version="1.0"?><speak version="1.1" xml:lang="am">\n<p>ሰላም</p>\n<p>ለአለም &amp; በቃ</p></speak>'
    )
    assert [s.text for s in voice.stretches(document)] == [
        s.text for s in voice.stretches("ሰላም\n\nለአለም & በቃ")
    ]
    assert [s.text for s in voice.stretches("<p>ሰላም <b>ለአለም</b></p>")] == ["ሰላም ለአለም"]
    assert voice.read("<b>ሰላም</b>").left_out


def test_readings_of_a_word() -> None:
    normalize = Normalizer()
    assert said('<sub alias="ዶክተር">ዶ/ር</sub> አበበ') == ["ዶክተር አበበ"]
    (spelt,) = said('ኮድ <say-as interpret-as="characters">ABC</say-as>')
    assert normalize(spelt) == normalize("ኮድ A፣ B፣ C")
    (digits,) = said('<say-as interpret-as="digits">2011</say-as>')
    assert normalize(digits) == normalize("2፣ 0፣ 1፣ 1")
    assert said('<say-as interpret-as="cardinal">27</say-as> ብር') == ["27 ብር"]
    assert said('<phoneme alphabet="ipa" ph="səlam">x</phoneme>።') == ["ሰላም።"]


def test_a_pace_for_some_words(voice: Synthesizer) -> None:
    parts = read_script('ሰላም። <prosody rate="50%">ለአለም። <prosody rate="slow">በቃ።</prosody></prosody> እሺ።')
    assert [part.rate for part in parts if isinstance(part, Say)] == [1.0, 0.5, 0.375, 1.0]
    slow = voice.speak('<prosody rate="0.5">ለመሰረ በተነአ</prosody>')
    assert len(slow.waveform) == pytest.approx(len(voice.speak("ለመሰረ በተነአ", speed=0.5).waveform), rel=0.01)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("<speak>ሰላም<audio src='x'/></speak>", "<audio>"),
        ("<speak>ሰላም<emphasis>ለአለም</emphasis></speak>", "<emphasis>"),
        ('<speak><prosody pitch="high">ሰላም</prosody></speak>', 'pitch="high"'),
        ('<speak><prosody rate="quick">ሰላም</prosody></speak>', 'rate="quick"'),
        ('<speak><say-as interpret-as="song">ሰላም</say-as></speak>', '"song"'),
        ('<speak><phoneme alphabet="x-sampa" ph="s">ሰ</phoneme></speak>', '"x-sampa"'),
        ('<phoneme alphabet="ipa" ph="θ">ሰ</phoneme>', "'θ'"),
        ("<speak>ሰላም<break></speak>", "well-formed"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><speak>&a;</speak>', "document type"),
        ("ሰላም <wobble>ለአለም</wobble>", "<wobble>"),
    ],
)
def test_what_is_outside_the_subset_is_named(text: str, named: str) -> None:
    with pytest.raises(AmttsError) as fault:
        read_script(text)
    assert named in str(fault.value)


def test_signs_that_are_no_tags_stay() -> None:
    for text in ("5 < 7 እና 8 > 3", "አበበ <abebe@example.com>", "<3 ሰላም"):
        assert said(text) == [text]
    assert read_script("ሰላም [pause:1s]")[-1] == Silence(1.0)


@pytest.mark.parametrize("word", ["ሰላም", "ኢትዮጵያ", "ቋንቋ", "ጨረቃ", "እንጀራ", "ጌጣጌጥ", "ዣንጥላ", "ፖሊስ"])
def test_phonemes_of_a_word_are_its_letters(word: str) -> None:
    to_ipa = get_language("am").to_ipa
    assert to_ipa is not None
    assert from_ipa(to_ipa(word)).replace("\u135f", "") == word


# ---- too long for a network ----


def test_a_sentence_that_the_network_cannot_read_whole_is_cut_words_last() -> None:
    backend = tiny_backend("indextts2")
    most = backend.longest_text()
    assert most is not None
    voice = Synthesizer(backend, Normalizer())
    for text in ("ሰላምለአለም" * 40 + "።", "ሰላም ለአለም " * 40):
        pieces = [s.text for s in voice.stretches(text)]
        assert all(len(backend.tokenizer.encode(piece)) <= most for piece in pieces)
        assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece in ("ሰላም", "ለአለም") for s in pieces for piece in s.split()), "no word is cut"
