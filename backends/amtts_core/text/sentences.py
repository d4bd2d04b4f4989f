"""Splits a text into sentences. Knows the marks of the Ethiopic script; a language says what an abbreviation is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from amtts_core.text.language import Language, get_language

_CLOSERS = "»”\"')\\]›’"
_END = re.compile(rf"(?:[።፧?!]|፡\s?፡|::|\.(?=\s|$|[{_CLOSERS}]))+(?P<closed>[{_CLOSERS}]*)|\n+")
_LAST_WORD = re.compile(r"\S*$")
_NEXT_WORD = re.compile(r"[\s፣,]*([^\s።፣፤?!]+)")
_LONGEST_LABEL = 2


def split_sentences(text: str, *, language: str = "am") -> list[str]:
    """Sentences with their end marks, in order, without surrounding space.

    A sentence ends after `።` `፧` `?` `!` `፡፡` `::`, at a line end, and after a full stop that does not belong to an
    abbreviation (`ዓ.ም.`, `Dr.`), to a dotted name (`ኤች.አይ.ቪ`), to a number or to the label of a list entry (`2.`). What
    stands in quotation marks and the verb that reports it (`"…?" ብላ ጠየቀች`) are one sentence.

    Args:
        text: of any length.
        language: code of the language pack, which knows the abbreviations and the verbs.

    Example:
        >>> split_sentences('Dr. አበበ መጣ። "ደህና ነህ?" አለ።')
        ['Dr. አበበ መጣ።', '"ደህና ነህ?" አለ።']
    """
    pieces = _pieces(text, get_language(language))
    return [piece for piece in pieces if any(character.isalnum() for character in piece)]


def _pieces(text: str, pack: Language) -> Iterator[str]:
    start = label = 0
    for match in _END.finditer(text):
        if match[0].startswith("."):
            word = _LAST_WORD.search(text, start, match.start())
            assert word is not None
            before = text[start : word.start()].strip()
            if number := _label(word[0], before, after=label):
                if before:  # the entry of a list begins at its label
                    yield text[start : word.start()].strip()
                    start = word.start()
                label = number
                continue
            if not before and len(word[0]) == 1:
                continue
            if pack.is_abbreviation(word[0].lstrip("(«“\"'") + "."):
                continue
        elif match["closed"] and _reported(text, match.end(), pack):
            continue
        yield text[start : match.end()].strip()
        start = match.end()
    yield text[start:].strip()


def _label(word: str, before: str, *, after: int) -> int:
    """The number of a list entry's label: nothing stands before it, or it follows the label before; 0 for no label."""
    if not word.isdecimal() or len(word) > _LONGEST_LABEL:
        return 0
    return int(word) if not before or (after and int(word) == after + 1) else 0


def _reported(text: str, end: int, pack: Language) -> bool:
    """True where a verb of saying follows a quotation."""
    following = _NEXT_WORD.match(text, end)
    return following is not None and following[1].startswith(pack.reporting)
