"""One Latin word: by word list, letter names, English pronunciation, romanized Amharic, and last by its letters.

`read` says whether the reading is certain enough; what is not is counted as a guess.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from amtts_core.text import tables
from amtts_core.text.amharic.english import read_english
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.text.amharic.oromo import looks_oromo, read_oromo
from amtts_core.text.amharic.pronunciations import inflected, listed
from amtts_core.text.amharic.romanized import by_rule, looks_ethiopian
from amtts_core.text.amharic.romanized import words as romanized_words
from amtts_core.text.amharic.spelling import transliterate
from amtts_core.text.ethiopic import to_order

ACRONYM_LENGTH = 5
_CAMEL = re.compile(
    r"[A-Z]+(?![a-z])|[A-Z]?[a-z\u00df-\u00ff]+|[A-Z\u00c0-\u024f\u1e00-\u1eff][a-z\u00df-\u024f]*"
)
_PLURAL_ACRONYM = re.compile(r"([A-Z]{2,5})'?s")
_ENDINGS = (("'s", "ስ"), ("s", "ስ"), ("ing", ""), ("ed", "ድ"), ("er", "ር"), ("ers", "ርስ"))
_SHORTEST_PART, _MOST_PARTS, _LONGEST_COMPOUND = 3, 4, 32


class Reading(NamedTuple):
    """How a word is read, and whether that is more than a guess."""

    text: str
    known: bool


@cache
def letter_names() -> dict[str, str]:
    """Latin capital to its Amharic name."""
    return dict(tables.pairs(PACKAGE, "letter_names.tsv"))


@cache
def lexicon() -> dict[str, str]:
    """Listed words: in lower case for any case, with capitals only as they are written."""
    return dict(tables.pairs(PACKAGE, "latin_words.tsv"))


def spell(letters: str) -> str:
    """Letter names: `UN` is ዩ ኤን."""
    names = letter_names()
    return " ".join(names[letter] for letter in letters.upper() if letter in names)


def is_listed(word: str) -> bool:
    """True for a word of the list, in any case."""
    return word.lower() in lexicon()


@lru_cache(maxsize=16384)
def read(word: str, romanized: bool = False) -> Reading:
    """The reading of one word.

    Args:
        word: Latin letters, with dots, hyphens and `&` inside.
        romanized: the words around it are Amharic in Latin letters.
    """
    lower = word.lower().rstrip(".")
    if romanized and lower in romanized_words():
        return Reading(romanized_words()[lower], True)
    if found := lexicon().get(word) or lexicon().get(lower):
        return Reading(found, True)
    letters = re.sub("[.&'-]", "", word)
    if len(letters) == 1 and letters.isascii():
        return Reading(spell(letters), True)
    if letters.isascii() and letters.isupper() and len(letters) <= ACRONYM_LENGTH:
        return Reading(_capitals(word, letters), True)
    if match := _PLURAL_ACRONYM.fullmatch(word):
        return Reading(spell(match[1]) + "ስ", True)
    if "-" in word:
        return _joined([read(part, romanized) for part in word.split("-") if part])
    return _unlisted(word, lower, letters, romanized=romanized)


def _unlisted(word: str, lower: str, letters: str, *, romanized: bool) -> Reading:
    if lower in romanized_words() and (lower == word or listed(lower) is None):
        return Reading(romanized_words()[lower], True)
    if found := _with_ending(lower):
        return Reading(found, True)
    if not (romanized and looks_ethiopian(lower)) and (english := read_english(letters.lower())):
        return Reading(english, True)
    parts = _CAMEL.findall(word) if not word.isupper() else []
    if (
        len(parts) > 1
        and "".join(parts) == word
        and all(part.isupper() or len(part) > 1 for part in parts[1:])
    ):
        return _joined([read(part, romanized) for part in parts])
    if compound := _compound(lower):
        return Reading(compound, True)
    if looks_oromo(lower):
        return Reading(read_oromo(lower), False)
    if romanized or looks_ethiopian(lower):
        return Reading(by_rule(lower), False)
    return Reading(transliterate(word), False)


def _joined(parts: list[Reading]) -> Reading:
    return Reading(" ".join(part.text for part in parts), all(part.known for part in parts))


def _capitals(word: str, letters: str) -> str:
    """Letter names; four or five capitals that are an English word are read as one (`SALE`)."""
    if len(letters) >= 4 and "&" not in word and "." not in word and listed(letters.lower()):
        return read_english(letters.lower()) or spell(letters)
    return " ኤንድ ".join(spell(part) for part in word.split("&") if part)


def _with_ending(word: str) -> str | None:
    """A listed word with a regular English ending (`emojis` ኢሞጂስ); words of the dictionary are read by it."""
    if listed(word) is not None or inflected(word, listed) is not None:
        return None
    for ending, added in _ENDINGS:
        base = word.removesuffix(ending)
        if base == word or len(base) < 3:
            continue
        for stem in (base, base + "e", base[:-1] if base[-1] == base[-2] else base):
            if found := lexicon().get(stem):
                if ending == "ing":
                    return found[:-1] + to_order(found[-1], 3) + "ንግ"
                if ending in ("er", "ers"):
                    return found[:-1] + to_order(found[-1], 1) + added
                return found + added
    return None


def _compound(word: str) -> str | None:
    """Words written as one (`keychain`, `shageronlinestore`): as few as possible, none shorter than three letters."""
    if not word.isascii() or not 2 * _SHORTEST_PART <= len(word) <= _LONGEST_COMPOUND:
        return None
    best: list[tuple[int, str] | None] = [(0, "")] + [None] * len(word)
    for end in range(_SHORTEST_PART, len(word) + 1):
        for start in range(end - _SHORTEST_PART + 1):
            before = best[start]
            if before is None or before[0] >= _MOST_PARTS or (start == 0 and end == len(word)):
                continue
            part = _part(word[start:end])
            here = best[end]
            if part and (here is None or before[0] + 1 < here[0]):
                best[end] = (before[0] + 1, before[1] + part)
    found = best[len(word)]
    return found[1] if found else None


def _part(word: str) -> str | None:
    """A part of a compound: listed, or an English word of at least four letters."""
    if found := lexicon().get(word):
        return found if " " not in found and len(word) > 2 else None
    return read_english(word) if len(word) >= 4 and listed(word) is not None else None


def is_romanized(words: list[str]) -> bool:
    """True where more of the words are romanized Amharic than English."""
    table, english = romanized_words(), lexicon()
    amharic = other = 0
    for word in words:
        lower = word.lower()
        if lower in table:
            amharic += lower not in english and listed(lower) is None
        elif lower in english or listed(lower) is not None:
            other += 1
    return amharic > 0 and amharic >= other
