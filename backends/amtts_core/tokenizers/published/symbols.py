"""Sets of Ethiopic symbols and the ways to write a letter: whole, or as a consonant and a vowel."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from amtts_core.tokenizers.fidel_alphabet import VOWELS, consonants, ethiopic_alphabet, spellings

ETHIOPIC_PUNCTUATION = "".join(map(chr, range(0x1360, 0x1369)))
SPACE_MARK = "▁"
"""SentencePiece's sign for a space."""


def fidel_symbols() -> tuple[str, ...]:
    """Every Ethiopic letter, numeral, mark and punctuation sign of U+1200-137F."""
    return (*ethiopic_alphabet(), *ETHIOPIC_PUNCTUATION)


def cv_symbols() -> tuple[str, ...]:
    """Consonants and vowels that spell every Ethiopic letter, with marks, numerals and punctuation."""
    rest = [sign for sign in fidel_symbols() if unicodedata.category(sign) != "Lo"]
    return (*consonants(), *VOWELS, *rest)


def compose_letters(text: str) -> str:
    """A text in which letters are spelled as a consonant and named vowels (`ስ[+ə]`), with the letters put back."""
    pattern, letters = _spelled_letters()
    return pattern.sub(lambda found: letters[found[0]], text) if "[+" in text else text


@cache
def _spelled_letters() -> tuple[re.Pattern[str], dict[str, str]]:
    letters = {
        "".join(f"[{part}]" if part in VOWELS else part for part in spelling): letter
        for letter, spelling in spellings().items()
    }
    longest = sorted(letters, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest))), letters


def is_ethiopic(character: str) -> bool:
    """True for a letter, numeral, mark or punctuation sign of the Ethiopic script."""
    return "ETHIOPIC" in unicodedata.name(character, "")
