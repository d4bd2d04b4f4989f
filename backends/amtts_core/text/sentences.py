"""Splits a text into sentences. Knows the marks of the Ethiopic script; a language says what an abbreviation is."""

from __future__ import annotations

import re

from amtts_core.text.language import get_language

_END = re.compile(r"(?:[።፧?!]|፡\s?፡|::|\.(?=\s|$))+[»”\"')\]]*|\n+")
_LAST_WORD = re.compile(r"\S*$")


def split_sentences(text: str, *, language: str = "am") -> list[str]:
    """Sentences with their end marks, in order, without surrounding space.

    A sentence ends after `።` `፧` `?` `!` `፡፡` `::`, at a line end, and after a full stop that does not belong to an
    abbreviation (`ዓ.ም.`), to a dotted name (`ኤች.አይ.ቪ`) or to a number.
    """
    is_abbreviation = get_language(language).is_abbreviation
    sentences: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if match[0].startswith("."):
            word = _LAST_WORD.search(text, start, match.start())
            if (
                word is None
                or is_abbreviation(word[0] + ".")
                or _is_label(word[0], text[start : match.start()])
            ):
                continue
        sentences.append(text[start : match.end()].strip())
        start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if any(character.isalnum() for character in sentence)]


def _is_label(word: str, before: str) -> bool:
    """True for the number or letter of a list entry (`1.`, `ሀ.`): nothing else stands before its full stop."""
    return before.strip() == word and (word.isdigit() or len(word) == 1)
