"""Verses (`ዮሐንስ 3፡16`): chapter and verse, where a book's name stands before what would else be a time or a score."""

from __future__ import annotations

import re

from amtts_core.text.amharic.numbers import words
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Substitution

CHAPTER, VERSE = "ምዕራፍ", "ቁጥር"


def verse_rule() -> Substitution:
    """`ማቴ. 5፡3-10` ማቴዎስ ምዕራፍ 5 ቁጥር 3-10; the numbers are left to the rules behind it.

    Before ሰዓት it is a time: some of the books are called like people.
    """
    books: dict[str, str] = words()["scripture"]
    names = "|".join(sorted({*books, *books.values()}, key=len, reverse=True))
    pattern = re.compile(
        rf"(?<![{LETTER}])(?P<prefix>[የበለከ]?)(?P<book>{names})(?P<gospel> ወንጌል)?[.።]?\s?"
        r"(?P<chapter>[0-9]{1,3})\s?[:፣]\s?(?P<verse>[0-9]{1,3}(?:\s?-\s?[0-9]{1,3})?)"
        r"(?![0-9:]|\s?(?:ሰዓት|ሰአት|ሠዓት))"
    )

    def read(match: re.Match[str]) -> str:
        book = books.get(match["book"], match["book"])
        if match["prefix"]:
            book = match["prefix"] + book.removeprefix("የ")
        gospel = match["gospel"] or ""
        return f"{book}{gospel} {CHAPTER} {match['chapter']} {VERSE} {match['verse']}"

    return Substitution("verse", pattern, read, needs=":፣")
