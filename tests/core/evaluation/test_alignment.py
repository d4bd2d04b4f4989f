"""Word times, long recordings in pieces, cutting, and transcripts that do not fit, on speech whose times are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from coded_speech import FRAME, LETTERS, RATE, CodedRecognizer, coded

from amtts_core.errors import AmttsError
from amtts_core.evaluation.alignment import align_text
from amtts_core.evaluation.check_corpus import FINDINGS, check_corpus
from amtts_core.evaluation.cut_recording import CutSettings, cut_recording
from amtts_core.evaluation.subtitle_files import Caption, write_captions
from amtts_core.evaluation.transcripts import doubts

STEP = FRAME / RATE


def words_of(random: np.random.Generator, count: int) -> list[str]:
    return ["".join(random.choice(list(LETTERS), size=random.integers(2, 6))) for _ in range(count)]


def test_words_are_where_they_are_said() -> None:
    found = align_text(
        CodedRecognizer(), np.concatenate([np.zeros(FRAME * 5, np.float32), coded("ሀለ መሰረ")]), "ሀለ፣ መሰረ።"
    )
    assert [(w.word, w.index) for w in found.words] == [("ሀለ፣", 0), ("መሰረ።", 1)]
    first, second = found.words
    assert first.start == pytest.approx(5 * STEP, abs=STEP)
    assert first.end == pytest.approx(16 * STEP, abs=STEP)
    assert second.start == pytest.approx(27 * STEP, abs=STEP)
    assert second.end == pytest.approx(44 * STEP, abs=STEP)
    assert [s.symbol for s in second.symbols] == [3, 4, 5]
    assert first.confidence > 0.9


def test_five_minutes_are_aligned_in_pieces_to_the_frame() -> None:
    words = words_of(np.random.default_rng(0), 520)
    wave = coded(" ".join(words))
    assert len(wave) > 300 * RATE
    found = align_text(CodedRecognizer(), wave, " ".join(words))
    assert not found.missing
    start = 0
    for word, timed in zip(words, found.words, strict=True):
        assert timed.start == pytest.approx(start * STEP, abs=1.5 * STEP), word
        start += 6 * len(word) + 10


def test_a_text_that_nobody_says_is_an_error() -> None:
    with pytest.raises(AmttsError, match="has a letter that recognizer 'coded' knows"):
        align_text(CodedRecognizer(), coded("ሀለ"), "hello")


# ---- transcripts ----


@pytest.mark.parametrize(
    ("said", "written", "kind", "word", "heard"),
    [
        ("ሀለመ ሰረበ ተነአ", "ሀለመ ከወዘ ተነአ", "wrong", "ከወዘ", "ሰረበ"),
        ("ሀለመ ተነአ", "ሀለመ ሰረበ ተነአ", "not recorded", "ሰረበ", ""),
        ("ሀለመ ሰረበከወ ተነአ", "ሀለመ ተነአ", "not in the text", "ሀለመ", "ሰረበከወ"),
        ("ሰረበከወ ሀለመ", "ሀለመ", "not in the text", "", "ሰረበከወ"),
    ],
)
def test_each_kind_of_doubt(said: str, written: str, kind: str, word: str, heard: str) -> None:
    recognizer = CodedRecognizer()
    (found,) = doubts(recognizer.emissions([coded(said)])[0], written.split(), recognizer)
    assert (found.kind, found.word, found.heard) == (kind, word, heard)


def test_one_wrong_letter_is_the_recognizers_business() -> None:
    recognizer = CodedRecognizer()
    assert doubts(recognizer.emissions([coded("ሀለመ ሰረከ ተነአ")])[0], ["ሀለመ", "ሰረበ", "ተነአ"], recognizer) == []


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twenty clips, of which numbers 3 and 11 have another word in their transcript."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(20):
        words = words_of(random, 5)
        soundfile.write(tmp_path / f"{number}.wav", coded(" ".join(words)), RATE, subtype="FLOAT")
        if number in (3, 11):
            words[2] = "ጸጸጸጸ"
        text = " ".join(words)
        duration = soundfile.info(tmp_path / f"{number}.wav").duration
        rows.append(
            {"id": f"c{number}", "audio_filepath": f"{number}.wav", "duration": duration, "text": text}
        )
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "manifest.jsonl").write_text("".join(lines))
    (tmp_path / "train.jsonl").write_text("".join(lines[:15]))
    (tmp_path / "val.jsonl").write_text("".join(lines[15:]))
    (tmp_path / "rejected.jsonl").write_text(
        json.dumps({"id": "x", "rule": "silent", "reason": "is silent"}) + "\n"
    )
    return tmp_path


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_doubtful_clips_go_into_the_ledger_and_none_is_lost(corpus: Path) -> None:
    found = check_corpus(corpus, CodedRecognizer())
    assert found.checked == 20
    assert set(found.doubtful) == {"c3", "c11"}
    ledger = {row["id"]: row for row in rows(corpus / "rejected.jsonl")}
    assert set(ledger) == {"x", "c3", "c11"}
    assert ledger["c3"]["rule"] == "transcript"
    assert "'ጸጸጸጸ' was recognized as" in str(ledger["c3"]["reason"])
    kept = {row["id"] for row in rows(corpus / "manifest.jsonl")}
    assert kept | set(ledger) == {f"c{n}" for n in range(20)} | {"x"}
    assert not kept & set(ledger)
    assert len(rows(corpus / "train.jsonl")) == 13
    assert {row["id"] for row in rows(corpus / FINDINGS)} == {"c3", "c11"}
    again = check_corpus(corpus, CodedRecognizer())
    assert (again.checked, again.doubtful) == (18, {})


def test_flagged_clips_stay(corpus: Path) -> None:
    check_corpus(corpus, CodedRecognizer(), action="flag")
    flagged = {row["id"] for row in rows(corpus / "manifest.jsonl") if row.get("flags")}
    assert flagged == {"c3", "c11"}
    assert len(rows(corpus / "rejected.jsonl")) == 1


def test_a_recognizer_that_reads_nothing_changes_nothing(corpus: Path) -> None:
    class Deaf(CodedRecognizer):
        identity = "deaf"

        def best_path(self, emissions):  # type: ignore[no-untyped-def]
            return [19] * len(emissions.log_probs)

    before = (corpus / "manifest.jsonl").read_text()
    with pytest.raises(AmttsError, match="does not read this speech, and nothing was changed"):
        check_corpus(corpus, Deaf())
    assert (corpus / "manifest.jsonl").read_text() == before
    with pytest.raises(AmttsError, match="can be: flag, reject"):
        check_corpus(corpus, CodedRecognizer(), action="burn")


# ---- cutting a long recording ----


def long_recording(folder: Path, sentences: list[str], *, pause: float = 0.6) -> Path:
    quiet = np.zeros(int(pause * RATE) // FRAME * FRAME, np.float32)
    parts = [quiet]
    for sentence in sentences:
        parts += [coded(sentence), quiet]
    path = folder / "long.wav"
    soundfile.write(path, np.concatenate(parts), RATE, subtype="FLOAT")
    return path


def plain(text: str) -> str:
    return " ".join(text.replace("።", " ").split())


def test_every_sentence_is_in_exactly_one_utterance(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    sentences = [" ".join(words_of(random, 6)) for _ in range(40)]
    audio = long_recording(tmp_path, sentences)
    cuts = cut_recording(audio, "። ".join(sentences) + "።", CodedRecognizer(), normalize=plain)
    assert " ".join(plain(cut.text) for cut in cuts) == " ".join(sentences)
    assert not any(cut.problem for cut in cuts)
    assert all(cut.end - cut.start <= 15.4 for cut in cuts)
    assert all(a.end <= b.start + 1e-6 for a, b in zip(cuts, cuts[1:], strict=False))
    assert len(cuts) < len(sentences)  # short neighbors are joined


def test_a_sentence_that_was_not_read_is_rejected_with_a_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    sentences = [" ".join(words_of(random, 8)) for _ in range(12)]
    audio = long_recording(tmp_path, [*sentences[:5], *sentences[6:]])
    settings = CutSettings(join_gap=0.0)
    cuts = cut_recording(
        audio, "። ".join(sentences) + "።", CodedRecognizer(), normalize=plain, settings=settings
    )
    bad = [plain(cut.text) for cut in cuts if cut.problem]
    assert bad == [sentences[5]] or (sentences[5] in bad and len(bad) <= 2)


def test_a_long_sentence_is_cut_at_a_pause(tmp_path: Path) -> None:
    words = words_of(np.random.default_rng(4), 60)
    words[29] += "፣"
    audio = long_recording(tmp_path, [" ".join(words).replace("፣", "")])
    cuts = cut_recording(audio, " ".join(words) + "።", CodedRecognizer(), normalize=plain)
    assert len(cuts) > 1
    assert " ".join(cut.text for cut in cuts).split() == words
    assert not any(cut.problem for cut in cuts)


def test_captions_in_three_formats() -> None:
    captions = [Caption("ሀለ", 0.5, 1.25), Caption("መሰ", 3661.0, 3662.5)]
    assert write_captions(captions, form="srt").startswith("1\n00:00:00,500 --> 00:00:01,250\nሀለ\n")
    vtt = write_captions(captions, form="vtt")
    assert vtt.startswith("WEBVTT\n\n")
    assert "01:01:01.000 --> 01:01:02.500" in vtt
    assert json.loads(write_captions(captions, form="json"))[1] == {
        "text": "መሰ",
        "start": 3661.0,
        "end": 3662.5,
    }
