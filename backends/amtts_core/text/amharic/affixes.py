"""Prefixes and suffixes that are written against a number, and ordinals (reference 1.5)."""

from __future__ import annotations

import re
from functools import cache

from amtts_core.text.amharic.numbers import words
from amtts_core.text.ethiopic import LETTER, order_of, same_row, to_order

_TAIL = "(?:ን|ም|ና|ስ|ማ|ኮ|ሳ|ንም|ንና)*"
_ENCLITIC = re.compile(f"(?:ን|ም|ና|ስ|ማ|ኮ|ሳ){_TAIL}")
_DEFINITE = re.compile(f"(?P<letter>[{LETTER}])(?P<rest>(?:ችን|ችሁ|ቸው|ቹ|ች|ቻችን|ቻቸው|ዎቹ|ዎች)?{_TAIL})")
_ORDINAL = re.compile(f"-?(?:[ተነደረኘ])?ኛ(?P<tail>[{LETTER}]*)")
_RUN_BEFORE = re.compile(f"[{LETTER}]+$")
_PREPOSITION = "ወደ"
"""Written apart from its noun, although a hasty writer joins it to a number."""
_THOUSAND, _THOUSAND_STEM = "ሺህ", "ሺ"


@cache
def number_prefixes() -> frozenset[str]:
    """Prefixes that bind to a number, alone or stacked."""
    return frozenset(words()["number_prefixes"])


def letters_before(text: str, position: int) -> str:
    """The run of Ethiopic letters that ends at a position."""
    found = _RUN_BEFORE.search(text, max(0, position - 12), position)
    return found[0] if found else ""


def is_bound(text: str, position: int) -> bool:
    """True where the letters before a position are a prefix of what follows."""
    run = letters_before(text, position)
    return run in number_prefixes()


def joint(text: str, position: int) -> str:
    """What to put before the words of a number at a position: nothing after a space or prefix, else a space.

    `ወደ` is a word of its own.
    """
    if position == 0 or not text[position - 1].isalnum():
        return ""
    word = text[text.rfind(" ", 0, position) + 1 : position]
    if word == _PREPOSITION:
        return " "
    if word in number_prefixes():
        return ""
    return "" if is_bound(text, position) else " "


def following_space(match: re.Match[str]) -> str:
    """A space where a letter or digit follows a match without one."""
    following = match.string[match.end() : match.end() + 1]
    return " " if following.isalnum() else ""


def ordinal(cardinal: str) -> str:
    """The ordinal of a cardinal; only its last word changes.

    Consonant-final: last letter to the first order, then ኛ (`ሁለተኛ`, `ዘጠነኛ`); vowel-final: ኛ (`ሃያኛ`); `ሺህ` is `ሺኛ`.
    """
    if cardinal.endswith(_THOUSAND):
        return cardinal[: -len(_THOUSAND)] + _THOUSAND_STEM + "ኛ"
    if cardinal.endswith("ኝ"):
        return cardinal[:-1] + "ነኛ"
    if order_of(cardinal[-1]) == 6:
        return cardinal[:-1] + to_order(cardinal[-1], 1) + "ኛ"
    return cardinal + "ኛ"


def with_suffix(cardinal: str, suffix: str) -> str | None:
    """A number's words with the suffix that was written against its digits; None where it is a word of its own."""
    if not suffix:
        return cardinal
    if match := _ORDINAL.fullmatch(suffix):
        return ordinal(cardinal) + match["tail"]
    if _ENCLITIC.fullmatch(suffix):
        return cardinal + suffix
    if match := _DEFINITE.fullmatch(suffix):
        return _definite(cardinal, match["letter"], match["rest"])
    for scale in words()["scale_words"]:
        rest = suffix.removeprefix(scale)
        if rest and rest != suffix and (scaled := with_suffix(scale, rest)):
            return f"{cardinal} {scaled}"
    return None


def _definite(cardinal: str, letter: str, rest: str) -> str | None:
    """`27ቱ` ሃያ ሰባቱ, `10ሩ` አስሩ, `20ው` ሃያው, `1960ዎቹ` …ስልሳዎቹ: the letter replaces the same consonant or is added."""
    last, order = cardinal[-1], order_of(letter)
    if same_row(last, letter) and order_of(last) == 6 and (order in (2, 7, 8) or (order in (4, 6) and rest)):
        return cardinal[:-1] + letter + rest
    if letter not in "ውዋዎ":
        return None
    if cardinal.endswith(_THOUSAND):
        return cardinal[: -len(_THOUSAND)] + _THOUSAND_STEM + letter + rest
    if order_of(last) == 6:
        return cardinal[:-1] + to_order(last, {"ው": 2, "ዋ": 8, "ዎ": 7}[letter]) + rest
    return cardinal + letter + rest
