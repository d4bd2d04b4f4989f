"""Roman numerals: a king's (`ኤልሳቤጥ II` ሁለተኛ), a part's (`ክፍል III` ሦስት), a list entry's (`ii)` ሁለት፣)."""

from __future__ import annotations

import re
from functools import cache

from amtts_core.text.amharic.affixes import ordinal
from amtts_core.text.amharic.numbers import cardinal, words

_SIGNS = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
LIST_ENTRY = re.compile(r"(?:(?<=\s)|^)\(?(?P<sign>i{1,3}|iv|vi{0,3}|ix|x|I{1,3}|IV|VI{0,3}|IX|X)\)(?=\s)")
_LAST_WORD = re.compile(r"([^\s.,;:()«»\"“”'‘’/።፣፤-]+)[\s«»\"“”'-]*$")
_LONGEST_WORD = 24
_ALWAYS = 2
"""A numeral of fewer letters counts only after a word that calls for one."""


@cache
def values() -> dict[str, int]:
    """Numerals from I to XXXIX, written in capitals."""
    return {
        "X" * tens + unit: 10 * tens + place
        for tens in range(4)
        for place, unit in enumerate(_SIGNS)
        if tens or place
    }


def read_roman(numeral: str, text: str, start: int) -> str | None:
    """The reading of a numeral at a place of a text; None where it is rather a word or an abbreviation."""
    value = values()[numeral]
    before = _LAST_WORD.search(text, max(0, start - _LONGEST_WORD), start)
    word = before[1] if before else ""
    numbered = word.lower() in _numbered() or word[1:] in _numbered()
    if len(numeral) < _ALWAYS and not numbered:
        return None
    spoken = cardinal(value)
    return spoken if numbered or not word or not _may_be_a_name(word) else ordinal(spoken)


def _may_be_a_name(word: str) -> bool:
    return word[0].isalpha() and (not word.isascii() or word[0].isupper())


@cache
def _numbered() -> frozenset[str]:
    return frozenset(words()["numbered_nouns"]) | frozenset(words()["roman_nouns"])
