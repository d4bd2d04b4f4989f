"""The character list of MMS with its three front ends; transformers' tokenizer says what the ids are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import VitsTokenizer
from vocabularies import mms_list, write_json

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published.symbols import fidel_symbols
from amtts_vits.tokenizer import BLANK, NUMERALS, VitsVocabulary, extend_list, spell


def stock(folder: Path, tokenizer: VitsVocabulary) -> VitsTokenizer:
    """transformers' tokenizer on the files that are written for it."""
    write_json(folder / "vocab.json", tokenizer.vocabulary)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer.stock_settings()), encoding="utf-8")
    return VitsTokenizer.from_pretrained(folder)


def test_the_blank_is_no_letter_any_more() -> None:
    change = extend_list(mms_list(), list(fidel_symbols()), front_end="fidel")
    assert change.vocabulary[BLANK] == 0
    assert change.vocabulary["c"] == 28
    assert change.same_as == {BLANK: "c"}
    assert {name: change.vocabulary[name] for name in mms_list() if name != "c"} == {
        name: number for name, number in mms_list().items() if name != "c"
    }
    again = extend_list(change.vocabulary, list(fidel_symbols()), front_end="fidel")
    assert again.vocabulary == change.vocabulary
    assert not again.added


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from("c_lfpemjrhozs'tnuqbwakxiydg é"), min_size=1, max_size=28, unique=True),
    st.text(st.sampled_from(ethiopic_alphabet()), min_size=1, max_size=10),
)
def test_random_lists(signs: list[str], amharic: str) -> None:
    old = {sign: number for number, sign in enumerate(signs)}
    change = extend_list(old, list(fidel_symbols()), front_end="fidel")
    for name, number in old.items():
        assert change.vocabulary[name] == number or (number == 0 and change.vocabulary[name] == len(old))
    assert sorted(change.vocabulary.values()) == list(range(len(change.vocabulary)))
    ids = VitsVocabulary(change.vocabulary, front_end="fidel").encode(amharic)
    assert len(ids) == len(amharic)
    assert 0 not in ids


def test_stock_tokenizer_reads_fidel_alike(tmp_path: Path) -> None:
    change = extend_list(mms_list(), list(fidel_symbols()), front_end="fidel")
    tokenizer = VitsVocabulary(change.vocabulary, front_end="fidel")
    official = stock(tmp_path, tokenizer)
    for text in ("ሰላም ለዓለም", "ቪዲዮ ጨረሰ፤ ጠራ፧", "c ecco"):
        assert official(text).input_ids[1::2] == tokenizer.encode(text)
        assert set(official(text).input_ids[::2]) == {0}
    assert official.pad_token_id == 0


@pytest.mark.parametrize(
    ("text", "uroman", "cv"),
    [("ሰላም", "salaame", "salaame"), ("ጠራ ተራ", "taraa taraa", "ጥaraa taraa"), ("ጨረሰ", "charasa", "ጭarasa"),
     ("ቪዲዮ", "vidiyo", "vidiyo"), ("ሀሐኀ", "hahhaxa", "hahhaxa"), ("አ\u135fተ", "ata", "aːta"),
     ("ሧቿጧ", "szwacwathwa", "szwacwaጥwa"), ("ᎀᎄᎈᎌ", "mwabwafwapwa", "mwabwafwapwa"),
     ("ሠጠቸ\u135d\u135e", "satacha", "saጥacha")],
)  # fmt: skip
def test_spellings(text: str, uroman: str, cv: str) -> None:
    assert spell(text, front_end="uroman") == uroman
    assert spell(text, front_end="cv") == cv


def test_cv_has_what_uroman_lacks(tmp_path: Path) -> None:
    change = extend_list(mms_list(), [], front_end="cv")
    assert set(change.added) == {"c", "ጥ", "ጭ", "ጵ", "ጽ", "v", "ː", *NUMERALS}
    tokenizer = VitsVocabulary(change.vocabulary, front_end="cv")
    assert 0 not in tokenizer.encode("ጠራ ቪዲዮ ቸር")
    assert tokenizer.decode(tokenizer.encode("ጠራ ቪዲዮ")) == "ጥaraa vidiyo"
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).fingerprint() == tokenizer.fingerprint()


def test_what_the_stock_tokenizer_cannot_read_is_left_out() -> None:
    change = extend_list(mms_list(), ["ሰላም", "É", "ሀ"], front_end="fidel", pad_to=40)
    assert set(change.left_out) == {"ሰላም", "É"}
    assert len(change.vocabulary) == 40
    with pytest.raises(AmttsError, match="--pad-to 5 is too small"):
        extend_list(mms_list(), ["ሀ"], front_end="fidel", pad_to=5)


def test_letters_that_a_list_lacks_for_the_spelling_are_added() -> None:
    change = extend_list({sign: number for number, sign in enumerate(" abc")}, "።", front_end="cv")
    tokenizer = VitsVocabulary(change.vocabulary, front_end="cv")
    assert change.same_as == {BLANK: " "}  # a space is read in text, so the blank takes its place
    assert 0 not in [number for sign in ethiopic_alphabet() for number in tokenizer.encode(sign)]
    published = extend_list(mms_list(), [], front_end="uroman")
    assert set(published.added) == {"c"}
    assert tokenizer.encode(" ") == [change.vocabulary[" "]] != [0]
