"""How each Ethiopic letter is written with a consonant and a vowel symbol. A table of spelling, no language's rules.

A consonant is named by the sixth order letter of its row, a vowel by `+` and its sound, so `ላ` is `ል` `+a`. Letters
that sound alike share symbols where they can: the first order of the gutturals is read /a/, so `አ` is `እ` `+a`.
What is left over gets a spelling of its own, never that of another letter: `ኣ` is `እ` `+a` `+alt`.
"""

from __future__ import annotations

import unicodedata
from functools import cache

VOWELS = ("+ə", "+u", "+i", "+a", "+e", "+ɨ", "+o", "+wə", "+wi", "+wa", "+we", "+wɨ", "+oa", "+ya", "+alt")
"""Orders one to seven, the rounded vowels, two rare endings, and the mark of a second letter of the same sound."""

PLAIN = (
    " "
    "።፣፤፥፦፧፡፠፨"
    "!?.,-:;…'\"()«»“”‘’/%"
    "0123456789"
    "፩፪፫፬፭፮፯፰፱፲፳፴፵፶፷፸፹፺፻፼"
    "\u135d\u135e\u135f"  # length and gemination marks
    "abcdefghijklmnopqrstuvwxyz"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
"""Characters that are symbols themselves."""

_ORDERS = ("+ə", "+u", "+i", "+a", "+e", "+ɨ", "+o", "+wa")
_ROUNDED = {0: "+wə", 2: "+wi", 3: "+wa", 4: "+we", 5: "+wɨ"}
_ROUNDED_ROWS = {"ቈ": "ቅ", "ቘ": "ቕ", "ኈ": "ህ", "ኰ": "ክ", "ዀ": "ኽ", "ጐ": "ግ"}
_GUTTURALS = "ህሕኅእዕ"
_LONG_O = "ሇቇኇኯዏዯጏፇ"  # eighth order letters that are not rounded /a/
_OF_NO_ROW = {"ኸ": ("ህ", "+ə"), "ኧ": ("እ", "+ə"), "ፘ": ("ር", "+ya"), "ፙ": ("ም", "+ya"), "ፚ": ("ፍ", "+ya")}
_BLOCKS = ((0x1200, 0x1358), (0x2DA0, 0x2DE0), (0xAB00, 0xAB30))
"""Where letters stand in rows of eight."""
_SUPPLEMENT = "ምብፍፕ"  # U+1380-138F, four rounded letters each
_LONG_O_EXTENDED = "ልምርስሽብትችንኝእዝድዽጅጥጭጵፕ"  # U+2D80-2D92
_ROUNDED_ORDERS = ("+wə", "+wi", "+we", "+wɨ")


def _row_spellings() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for first in (code for start, end in _BLOCKS for code in range(start, end, 8)):
        sixth = chr(first + 5)
        for order in range(8):
            letter = chr(first + order)
            if unicodedata.category(letter) != "Lo":
                continue  # rows have gaps
            if (consonant := _ROUNDED_ROWS.get(chr(first))) is not None:
                found[letter] = (consonant, _ROUNDED[order])
            elif letter in _LONG_O:
                found[letter] = (sixth, "+oa")
            elif sixth in _GUTTURALS and order == 0:
                found[letter] = (sixth, "+a")
            elif sixth in _GUTTURALS and order == 3:
                found[letter] = (sixth, "+a", "+alt")
            else:
                found[letter] = (sixth, _ORDERS[order])
    return found


@cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Letter -> its symbols, for every Ethiopic letter of the Basic Multilingual Plane; no two are spelled alike."""
    found = _row_spellings() | _OF_NO_ROW
    for place, consonant in enumerate(_SUPPLEMENT):
        found |= {chr(0x1380 + 4 * place + n): (consonant, vowel) for n, vowel in enumerate(_ROUNDED_ORDERS)}
    found |= {chr(0x2D80 + n): (consonant, "+oa") for n, consonant in enumerate(_LONG_O_EXTENDED)}
    found |= {chr(0x2D93 + n): ("ጝ", vowel) for n, vowel in enumerate(_ROUNDED_ORDERS)}
    return found


@cache
def consonants() -> tuple[str, ...]:
    """Every consonant symbol, in the order of the script."""
    return tuple(sorted({spelling[0] for spelling in spellings().values()}))


@cache
def ethiopic_alphabet() -> str:
    """What a vocabulary for Ethiopic text must be able to write: letters of U+1200-135A, numerals and marks."""
    letters = (chr(code) for code in range(0x1200, 0x135B) if unicodedata.category(chr(code)) == "Lo")
    return "".join(letters) + "".join(map(chr, (*range(0x1369, 0x137D), 0x135D, 0x135E, 0x135F)))
