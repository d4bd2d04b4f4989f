"""From text to one recording: cutting, pauses, unknown letters, checkpoints that need nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_voice import tiny_backend, tiny_voice

from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.synthesis.engine import LONGEST, Synthesizer
from amtts_core.synthesis.stitch import (
    CLAUSE_PAUSE,
    PARAGRAPH_PAUSE,
    SENTENCE_PAUSE,
    cut_long,
    join,
)
from amtts_core.text.normalizer import Normalizer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(tmp_path_factory.mktemp("voice"))[1]


@pytest.fixture(scope="module")
def voice(run: Path) -> Synthesizer:
    return Synthesizer.from_checkpoint(run)


# ---- cutting and joining ----


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ሀለሐ ፤፣፦።", max_size=120), st.integers(1, 30))
def test_cutting_loses_nothing_and_keeps_the_limit(text: str, longest: int) -> None:
    pieces = cut_long(text, longest=longest)
    assert "".join("".join(pieces).split()) == "".join(text.split()), "no letter or mark is lost or moved"
    for piece in pieces:
        assert len(piece) <= longest or not re.search(r"[ ፤፣፦].", piece.strip()), (
            "only one word may be longer"
        )


def test_a_short_sentence_stays_whole() -> None:
    assert cut_long("ሰላም ለዓለም።", longest=20) == ["ሰላም ለዓለም።"]


def test_the_best_place_to_cut_comes_first() -> None:
    text = "አንድ ሁለት፤ ሦስት፣ አራት አምስት"
    assert cut_long(text, longest=19) == ["አንድ ሁለት፤", "ሦስት፣ አራት አምስት"]
    assert cut_long(text, longest=12) == ["አንድ ሁለት፤", "ሦስት፣", "አራት አምስት"]


def test_joining_puts_silence_between_and_fades_the_edges() -> None:
    waves = [np.full(1000, 0.5, np.float32), np.full(500, -0.5, np.float32)]
    joined = join(waves, [0.1, 9.0], 1000)
    assert len(joined) == 1000 + 100 + 500, "no pause after the last"
    assert joined.dtype == np.float32
    assert (joined[1000:1100] == 0).all()
    assert joined[0] == 0
    assert joined[999] == 0
    np.testing.assert_allclose(joined[100:900], 0.5)
    assert (waves[0] == 0.5).all(), "the inputs stay as they were"


@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_joining_almost_nothing(length: int) -> None:
    joined = join([np.ones(length, np.float32)], [0.1], 22050)
    assert len(joined) == length
    assert np.isfinite(joined).all()
    assert len(join([], [], 22050)) == 0


# ---- a text in pieces ----


def test_sentences_and_paragraphs_have_their_pauses(voice: Synthesizer) -> None:
    pieces = voice.stretches("ሰላም ለዓለም። ደህና ነው?\n\nአበበ መጣ! በቃ")
    assert [p.text for p in pieces] == ["ሰላም ለአለም።", "ደህና ነው?", "አበበ መጣ!", "በቃ"]
    assert [p.pause for p in pieces] == [SENTENCE_PAUSE, PARAGRAPH_PAUSE, SENTENCE_PAUSE, PARAGRAPH_PAUSE]


def test_a_long_sentence_is_cut_with_short_pauses_inside(voice: Synthesizer) -> None:
    sentence = "፣ ".join(["አንድ ሁለት ሶስት አራት"] * 30) + "። ሰላም።"
    pieces = voice.stretches(sentence)
    assert len(pieces) > 3
    assert all(len(p.text) <= LONGEST for p in pieces)
    assert [p.pause for p in pieces[:-2]] == [CLAUSE_PAUSE] * (len(pieces) - 2)
    assert pieces[-2].pause == SENTENCE_PAUSE, "the end of the long sentence"
    words = " ".join(["አንድ"] * 200)
    assert {p.pause for p in voice.stretches(words)[:-1]} == {CLAUSE_PAUSE}, (
        "cut between words, not sentences"
    )


@pytest.mark.parametrize("text", ["", "   \n ", "... !?", "።።", "🙂🙂", "(-)"])
def test_a_text_without_a_letter_is_refused(voice: Synthesizer, text: str) -> None:
    with pytest.raises(AmttsError, match="nothing to speak in") as caught:
        voice.speak(text)
    assert "\n" not in str(caught.value)


def test_letters_the_tokenizer_does_not_know_are_counted(voice: Synthesizer) -> None:
    speech = voice.speak("ሰላም ☃Ж ለዓለም Ж።")
    assert speech.unread["Ж"] == 2
    assert np.abs(speech.waveform).max() > 0
    clean = voice.speak("ሰላም ለዓለም።")
    assert clean.unread == {}


def test_a_text_of_unknown_letters_only_is_refused(voice: Synthesizer) -> None:
    with pytest.raises(AmttsError, match="no letter of 'ЖЖЖ' is known"):
        voice.speak("ЖЖЖ")


# ---- speech ----


def test_length_follows_text_and_speed(voice: Synthesizer) -> None:
    short, long = voice.speak("ለመሰረ።"), voice.speak("ለመሰረ በተነአ ከወደገ ለመሰረ።")
    assert long.duration > 1.5 * short.duration
    assert len(long.waveform) / long.sample_rate == long.duration
    fast = voice.speak("ለመሰረ በተነአ ከወደገ ለመሰረ።", speed=2.0)
    assert fast.duration == pytest.approx(long.duration / 2, rel=0.3)


def test_many_sentences_hold_each_of_them_and_the_pauses(voice: Synthesizer) -> None:
    told: list[tuple[int, int]] = []
    sentences = ["ለመሰረ።"] * 11
    speech = voice.speak(" ".join(sentences), on_progress=lambda done, total: told.append((done, total)))
    one = voice.speak("ለመሰረ።")
    assert speech.duration == pytest.approx(11 * one.duration + 10 * SENTENCE_PAUSE, abs=0.02)
    assert told == [(8, 11), (11, 11)], "eight are spoken together"


def test_pauses_follow_the_speed(voice: Synthesizer) -> None:
    for speed in (1.0, 4.0):
        one, three = voice.speak("ለመሰረ።", speed=speed), voice.speak("ለመሰረ። ለመሰረ። ለመሰረ።", speed=speed)
        assert three.duration == pytest.approx(3 * one.duration + 2 * SENTENCE_PAUSE / speed, abs=0.01)
        streamed = np.concatenate(list(voice.stream("ለመሰረ። ለመሰረ። ለመሰረ።", speed=speed).pieces))
        assert len(streamed) == len(three.waveform)


def test_the_same_seed_gives_the_same_audio(voice: Synthesizer) -> None:
    first = voice.speak("ሰላም ለዓለም።", seed=1).waveform
    np.testing.assert_array_equal(first, voice.speak("ሰላም ለዓለም።", seed=1).waveform)
    assert not np.array_equal(first, voice.speak("ሰላም ለዓለም።", seed=2).waveform)


@pytest.mark.parametrize("speed", [0.0, 0.2, 4.1, -1.0, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(voice: Synthesizer, speed: float) -> None:
    with pytest.raises(AmttsError, match="speed .* is out of range; expected 0.25 to 4"):
        voice.speak("ሰላም።", speed=speed)


def test_an_unknown_speaker_is_refused(voice: Synthesizer) -> None:
    with pytest.raises(AmttsError, match="unknown speaker 'sara'"):
        voice.speak("ሰላም።", speaker="sara")


def test_a_backend_without_text_cannot_speak() -> None:
    backend = tiny_backend("chatterbox-mel")
    backend.text_tokenizer = None
    with pytest.raises(AmttsError, match="cannot speak a text"):
        Synthesizer(backend, Normalizer())


# ---- a checkpoint needs nothing else ----


def test_a_checkpoint_folder_alone_is_enough(run: Path, voice: Synthesizer, tmp_path: Path) -> None:
    """Copied to another place, without the corpus, the run folder or the training state's pointers."""
    lone = Path(shutil.copytree(run / "checkpoints" / "step-00000060", tmp_path / "lone"))
    again = Synthesizer.from_checkpoint(lone)
    text = "ሰላም ለዓለም።"
    np.testing.assert_array_equal(again.speak(text).waveform, voice.speak(text).waveform)


def test_the_checkpoint_speaks_with_its_own_normaliser(run: Path) -> None:
    assert Synthesizer.from_checkpoint(run).normalizer.settings == Normalizer().settings


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        Synthesizer.from_checkpoint(tmp_path / "none")
