"""The fidel spelling: sounds share symbols, letters never share a spelling."""

from __future__ import annotations

import unicodedata

import pytest

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.tokenizers.fidel import FidelTokenizer, default_symbols
from amtts_core.tokenizers.fidel_alphabet import spellings

FIDEL = FidelTokenizer(default_symbols())


def spell(text: str) -> list[str]:
    symbols = FIDEL.symbols()
    return [symbols[number] for number in FIDEL.encode(text)]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("ላ", ["ል", "+a"]),
        ("ለ", ["ል", "+ə"]),
        ("ል", ["ል", "+ɨ"]),
        ("ሀ", ["ህ", "+a"]),  # gutturals: the first order sounds like the fourth
        ("አ", ["እ", "+a"]),
        ("ሃ", ["ህ", "+a", "+alt"]),
        ("ኣ", ["እ", "+a", "+alt"]),
        ("ኸ", ["ህ", "+ə"]),
        ("ኧ", ["እ", "+ə"]),
        ("ሏ", ["ል", "+wa"]),
        ("ቈ", ["ቅ", "+wə"]),
        ("ቊ", ["ቅ", "+wi"]),
        ("ቋ", ["ቅ", "+wa"]),
        ("ቌ", ["ቅ", "+we"]),
        ("ቍ", ["ቅ", "+wɨ"]),
        ("ኋ", ["ህ", "+wa"]),  # the folded letter for /hwa/
        ("ዓ", ["ዕ", "+a", "+alt"]),
        ("ቇ", ["ቅ", "+oa"]),
        ("ገና፟", ["ግ", "+ə", "ን", "+a", "\u135f"]),
        ("ሰላም፣ UN!", ["ስ", "+ə", "ል", "+a", "ም", "+ɨ", "፣", " ", "U", "N", "!"]),
    ],
)
def test_spelling(text: str, symbols: list[str]) -> None:
    assert spell(text) == symbols


def test_every_ethiopic_letter_of_the_plane_has_a_spelling_of_its_own() -> None:
    letters = {
        chr(code)
        for code in range(0x10000)
        if unicodedata.name(chr(code), "").startswith("ETHIOPIC SYLLABLE")
    }
    assert set(spellings()) == letters
    assert len(set(spellings().values())) == len(letters)


def test_folded_amharic_needs_about_forty_five_symbols() -> None:
    rows = "ሀለመረሰሸቀበቨተቸነኘአከወዘዠየደጀገጠጨጰጸፈፐ"
    letters = "".join(chr(ord(first) + order) for first in rows for order in range(7))
    folded = letters.replace("ሃ", "").replace("ኣ", "") + "ኸኧሏሟሯሷሿቧቯቷቿኗኟዟዧዷጇጧጯጷጿፏፗቋኳጓኋቌኴጔቊኲጒ"
    assert 35 <= len(set(FIDEL.encode(folded))) <= 45


def test_an_unknown_character_is_one_unknown_token() -> None:
    assert FIDEL.encode("é漢") == [FIDEL.unk_id] * 2
    assert FIDEL.decode([FIDEL.unk_id]) == "⁇"


def test_ids_that_spell_no_letter_still_decode() -> None:
    number = {symbol: place for place, symbol in enumerate(FIDEL.symbols())}
    assert FIDEL.decode([number["ል"], number["ም"], number["+a"]]) == "ልማ"
    assert FIDEL.decode([number["+a"], number["+alt"], number["ል"], number["+a"]]) == "ላ"


def test_added_symbols_stand_for_themselves_and_keep_the_other_ids() -> None:
    grown = FidelTokenizer([*default_symbols(), "[am]", "[a]", "é"])
    text = "[am] ሰላም é"
    assert grown.decode(grown.encode(text)) == text
    assert grown.encode(text)[0] == FIDEL.vocab_size
    assert grown.encode("ሰላም።") == FIDEL.encode("ሰላም።")


def test_a_letter_whose_symbol_is_missing_is_unknown() -> None:
    small = FidelTokenizer([symbol for symbol in default_symbols() if symbol != "+wa"])
    assert small.encode("ሏ") == [small.unk_id]


def test_its_size_is_fixed() -> None:
    assert train_tokenizer("fidel", [], vocab_size=FIDEL.vocab_size).vocab_size == FIDEL.vocab_size
    with pytest.raises(
        AmttsError, match=f"size 500: the fidel tokenizer always has {FIDEL.vocab_size} symbols"
    ):
        train_tokenizer("fidel", [], vocab_size=500)
