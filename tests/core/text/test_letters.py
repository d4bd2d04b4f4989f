"""The script's arithmetic, the alphabet, the folds, IPA and the reversible spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amtts_core.errors import AmttsError
from amtts_core.text.amharic.g2p import to_ipa, word_to_ipa
from amtts_core.text.amharic.letters import ALPHABET, LABIALISED, compose, decompose, fidel_table, homophones
from amtts_core.text.amharic.romanize import deromanize, romanize
from amtts_core.text.ethiopic import letters, numeral_value
from amtts_core.text.language import get_language
from amtts_core.text.normalizer import Normalizer, NormalizerSettings


def test_the_table_is_33_by_7() -> None:
    table = fidel_table()
    assert len(ALPHABET) == len(table) == 33
    assert {len(row) for row in table} == {7}
    assert table[0] == tuple("ሀሁሂሃሄህሆ")
    assert table[-1] == tuple("ፐፑፒፓፔፕፖ")
    assert all(decompose(letter)[1] == place + 1 for row in table for place, letter in enumerate(row))


@pytest.mark.parametrize(
    ("letter", "parts"), [("ሀ", ("ህ", 1)), ("ሩ", ("ር", 2)), ("ሏ", ("ል", 8)), ("ቋ", ("ቍ", 4)), ("ኧ", ("እ", 8))]
)
def test_decompose(letter: str, parts: tuple[str, int]) -> None:
    assert decompose(letter) == parts
    assert compose(*parts) == letter


@given(st.sampled_from(letters()))
def test_compose_undoes_decompose(letter: str) -> None:
    if letter in "ፘፙፚ":
        with pytest.raises(ValueError):
            decompose(letter)
    else:
        assert compose(*decompose(letter)) == letter


def test_labialised_letters_exist_and_are_apart_from_the_table() -> None:
    plain = {letter for row in fidel_table() for letter in row}
    assert len(set(LABIALISED)) == len(LABIALISED)
    assert set(LABIALISED) <= set(letters()) - plain


def test_homophones_fold_by_order_and_once() -> None:
    table = homophones()
    assert not set(table.values()) & {chr(code) for code in table}
    for code, letter in table.items():
        assert decompose(chr(code))[1] == decompose(letter)[1] or letter in "ሀአኋ"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ሐኀሃሓኃኻ", "ሀሀሀሀሀሀ"),
        ("ኸኧ", "ኸኧ"),
        ("ዓዐኣ", "አአአ"),
        ("ሠሥ", "ሰስ"),
        ("ፀሐይ", "ጸሀይ"),
        ("ቈንቋ ጐን ኵር", "ቆንቋ ጎን ኩር"),
    ],
)
def test_folds(text: str, folded: str) -> None:
    assert Normalizer()(text) == folded
    off = NormalizerSettings(fold_homophones=False, fold_labialised=False)
    assert Normalizer(off)(text) == text


def test_letters_of_other_languages_become_plain_ones_and_are_reported() -> None:
    normalizer = Normalizer()
    assert normalizer("ቐሽ ⶀፘ") == "ቀሽ ሎርያ"
    assert {rule.rule for rule in normalizer.explain("ቐሽ ⶀፘ")} == {"foreign-letter"}


def test_two_letter_spellings_only_on_request() -> None:
    assert Normalizer()("በሉዋል") == "በሉዋል"
    assert Normalizer(NormalizerSettings(join_labialised=True))("በሉዋል") == "በሏል"


@pytest.mark.parametrize(
    ("word", "ipa"),
    [
        ("ሰላም", "səlam"),
        ("ቋንቋ", "kʼʷankʼʷa"),
        ("ድንጋይ", "dɨnɡaj"),
        ("ክብር", "kɨbɨr"),
        ("አንድነት", "ʔandɨnːət"),
        ("እግዚአብሔር", "ʔɨɡziʔabher"),
        ("ሀገር", "haɡər"),
        ("ኸረ", "hərə"),
        ("ገና፟", "ɡənːa"),
        ("ስድስት", "sɨdːɨst"),
    ],
)
def test_ipa(word: str, ipa: str) -> None:
    assert to_ipa(word) == ipa


def test_ipa_of_a_text_and_of_an_own_lexicon() -> None:
    assert to_ipa("ገና፣ ሰላም።") == "ɡəna, səlam."
    assert to_ipa("ገና", lexicon={"ገና": "ɡənːa"}) == "ɡənːa"


@given(st.text(st.sampled_from([*letters(), "\u135d", "\u135e", "\u135f"]), max_size=12))
def test_ipa_never_fails_and_leaves_no_letter(word: str) -> None:
    assert not any("\u1200" <= character <= "\u137f" for character in word_to_ipa(word))


@given(st.one_of(st.text(max_size=30), st.text(st.sampled_from([*letters(), *" ።፣፤፦፡?!"]), max_size=30)))
def test_romanisation_is_ascii_and_reversible(text: str) -> None:
    assert romanize(text).isascii()
    assert deromanize(romanize(text)) == text


def test_romanisation_of_a_phrase_and_of_nonsense() -> None:
    assert romanize("ሰላም ዓለም።") == "selam `alem."
    with pytest.raises(AmttsError, match="character 3"):
        deromanize("seä")


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("፩", 1), ("፻", 100), ("፼", 10_000), ("፲፱፻፹፬", 1984), ("፳፻፲፮", 2016), ("፻፩፼", 1_010_000), ("፼፼", 10**8)],
)
def test_numerals(numeral: str, value: int) -> None:
    assert numeral_value(numeral) == value


def test_languages() -> None:
    assert get_language("am").name == "Amharic"
    assert get_language("ti").to_ipa is None
    with pytest.raises(AmttsError, match=r"'amh'.*am, ti"):
        get_language("amh")
