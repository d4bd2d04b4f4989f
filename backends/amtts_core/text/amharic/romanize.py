"""A reversible ASCII spelling for logs and file names; no pronunciation, one spelling per letter (after SERA).

A letter is its consonant and the sign of its order: `le lu li la lE l lo lWa`. አ and ዐ are `'` and a backquote;
capitals and `^` tell the letters of one sound apart. Anything else is escaped with a backslash, so that
`deromanize(romanize(text)) == text` for every text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from amtts_core.errors import AmttsError
from amtts_core.text import tables
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.text.ethiopic import decompose, letters

_ORDERS = ("e", "u", "i", "a", "E", "", "o")
_ROUNDED_ORDERS = {1: "We", 3: "Wi", 4: "Wa", 5: "WE", 6: "W"}
_ROUNDED_ROWS = {"ቍ": "ቅ", "ቝ": "ቕ", "ኍ": "ኅ", "ኵ": "ክ", "ዅ": "ኽ", "ጕ": "ግ"}
_MARKS = {"።": ".", "፣": ",", "፤": ";", "፦": ":", "፡": "|", "\u135f": "~", "?": "?", "!": "!"}
_PLAIN = frozenset(" \n0123456789")


@cache
def _spellings() -> dict[str, str]:
    consonants = tables.pairs(PACKAGE, "romanization.tsv")
    found = dict(_MARKS)
    for letter in letters():
        if (name := unicodedata.name(letter)).endswith(("RYA", "MYA", "FYA")):
            found[letter] = name[-3].lower() + "Ya"
            continue
        row, order = decompose(letter)
        if row in _ROUNDED_ROWS:
            found[letter] = consonants[_ROUNDED_ROWS[row]] + _ROUNDED_ORDERS[order]
        elif order == 8:
            found[letter] = consonants[row] + ("oa" if name.endswith("OA") else "Wa")
        else:
            found[letter] = consonants[row] + _ORDERS[order - 1]
    return found


@cache
def _letters_by_spelling() -> dict[str, str]:
    return {spelling: letter for letter, spelling in _spellings().items()}


@cache
def _token() -> re.Pattern[str]:
    longest_first = sorted(_letters_by_spelling(), key=len, reverse=True)
    return re.compile("|".join([r"\\\{[0-9a-f]+\}", r"\\[!-~]", *map(re.escape, longest_first), "[ \n0-9]"]))


def romanize(text: str) -> str:
    """A text in ASCII."""
    spellings = _spellings()
    return "".join(spellings.get(c) or (c if c in _PLAIN else _escape(c)) for c in text)


def _escape(character: str) -> str:
    printable = "!" <= character <= "~" and character != "{"
    return "\\" + character if printable else f"\\{{{ord(character):x}}}"


def deromanize(text: str) -> str:
    """The text that `romanize` was given.

    Raises:
        AmttsError: the text is no such spelling.
    """
    found: list[str] = []
    place = 0
    while place < len(text):
        match = _token().match(text, place)
        if match is None:
            raise AmttsError(
                f"{text[place : place + 10]!r} at character {place + 1} spells no Ethiopic letter"
            )
        token = match[0]
        if token.startswith("\\{"):
            found.append(chr(int(token[2:-1], 16)))
        else:
            found.append(token[1] if token[0] == "\\" else _letters_by_spelling().get(token, token))
        place = match.end()
    return "".join(found)
