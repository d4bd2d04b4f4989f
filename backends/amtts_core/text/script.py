"""Which letters belong to the script of a language."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

from amtts_core.text.language import get_language


@cache
def scripts_of(language: str) -> frozenset[str]:
    """Names of the scripts that a language is written with, as Unicode has them: "ETHIOPIC" for Amharic.

    Raises:
        AmttsError: the language is not known.
    """
    letters = (symbol for symbol in get_language(language).symbols if symbol.isalpha())
    return frozenset(unicodedata.name(letter, "").split(" ")[0] for letter in letters)


@lru_cache(maxsize=1 << 16)
def in_script(character: str, language: str) -> bool:
    """True for a letter of a language's script, whether the language itself uses it or not."""
    return unicodedata.name(character, "").split(" ")[0] in scripts_of(language)


def script_share(text: str, language: str) -> float:
    """Share of a text's letters that are of the language's script; 0 where it has no letters."""
    letters = [character for character in text if character.isalpha()]
    return sum(in_script(character, language) for character in letters) / len(letters) if letters else 0.0
