"""The report: counts that can be done by hand."""

from __future__ import annotations

import pytest

from amtts_core.corpus.coverage import measure
from amtts_core.corpus.manifest import Utterance
from amtts_core.text.amharic.letter_table import fidel_table, homophone
from amtts_core.tokenizers.factory import train_tokenizer


def say(text: str, *, seconds: float = 1.0, lang: str = "am", normalized: str = "") -> Utterance:
    return Utterance(
        id="u", audio_filepath="u.wav", duration=seconds, text=text, lang=lang, normalized_text=normalized
    )


FIDEL = train_tokenizer("fidel", [])


def test_the_table_has_33_rows_of_seven() -> None:
    assert len(fidel_table()) == len(set(fidel_table())) == 231


@pytest.mark.parametrize(
    ("letter", "canonical"),
    list(zip("ሀሃሐሓኀኃኻኸሑኹሠሥዐዓኣኡዑፀፆለላ", "ሀሀሀሀሀሀሀኸሁሁሰስአአአኡኡጸጾለላ", strict=True)),
)
def test_homophones(letter: str, canonical: str) -> None:
    assert homophone(letter) == canonical


def test_counts_of_train_and_held_out() -> None:
    report = measure(
        FIDEL, [say("ሰላም é", seconds=2.0), say("ላ", seconds=0.5)], held_out=[say("é漢é", seconds=1.0)]
    )
    train = report.train
    assert (train.utterances, train.words, train.characters, train.tokens, train.unk_tokens) == (
        2,
        3,
        6,
        10,
        1,
    )
    assert train.unk_ratio == 0.1
    assert train.tokens_per_second == 4.0
    assert train.tokens_per_word == pytest.approx(10 / 3)
    assert report.held_out.unk_ratio == report.unk_ratio == 1.0
    assert report.unknown_characters == {"é": 3, "漢": 1}
    assert report.to_json()["held_out"]["unknown_characters"] == {"é": 2, "漢": 1}


def test_the_spoken_text_is_measured() -> None:
    assert measure(FIDEL, [say("3", normalized="ሦስት")]).train.characters == 3


def test_letters_never_seen_count_homophones_in_amharic_only() -> None:
    amharic, tigrinya = measure(FIDEL, [say("ሀሰ")]), measure(FIDEL, [say("ሀሰ", lang="ti")])
    assert amharic.letters_seen == len("ሀሃሐሓኀኃኻ") + len("ሰሠ")
    assert "ሠ" not in amharic.letters_never_seen
    assert tigrinya.letters_seen == 2
    assert "ሠ" in tigrinya.letters_never_seen


def test_pieces_never_used() -> None:
    unused = measure(FIDEL, [say("ላ")]).pieces_never_used
    assert "ል" not in unused
    assert "+a" not in unused
    assert {"ም", "+ə", "።"} <= set(unused)
    assert not {"<pad>", "<unk>", "<s>", "</s>"} & set(unused)
    with_bytes = train_tokenizer("fidel", [], byte_fallback=True)
    assert measure(with_bytes, [say("ላ")]).pieces_never_used == unused


def test_text_without_one_ethiopic_letter_is_noticed() -> None:
    assert not measure(FIDEL, [say("hello")]).ethiopic_text
    assert measure(FIDEL, [say("hello", lang="en")]).ethiopic_text
    assert measure(FIDEL, [say("hello ሀ")]).ethiopic_text


def test_no_held_out_text_counts_nothing() -> None:
    report = measure(FIDEL, [say("ሰላም")])
    assert report.held_out.utterances == 0
    assert report.unk_ratio == 0.0
