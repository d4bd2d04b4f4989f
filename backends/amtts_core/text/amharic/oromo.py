"""Oromo words among Amharic ones (`Afaan Oromoo`), by the rules of qubee, the Latin spelling of Oromo.

In qubee a doubled vowel is long, and `c q x ph dh` are single sounds of their own. Amharic writes the short a with the
first order and the long one with the fourth (`Shaggar` ሸገር, `Gadaa` ገዳ). No more than a guess: what is recognized is a
word, not the language of the text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from amtts_core.text.ethiopic import to_order

_CONSONANTS = {
    "ch": "ች", "dh": "ድ", "ny": "ኝ", "ph": "ጵ", "sh": "ሽ", "b": "ብ", "c": "ጭ", "d": "ድ", "f": "ፍ", "g": "ግ", "h": "ህ",
    "j": "ጅ", "k": "ክ", "l": "ል", "m": "ም", "n": "ን", "p": "ፕ", "q": "ቅ", "r": "ር", "s": "ስ", "t": "ት", "v": "ቭ",
    "w": "ው", "x": "ጥ", "y": "ይ", "z": "ዝ",
}  # fmt: skip
_VOWELS = {"aa": 4, "ee": 5, "ii": 3, "oo": 7, "uu": 2, "a": 1, "e": 5, "i": 3, "o": 7, "u": 2}
_ALONE = {
    "aa": "አ",
    "ee": "ኤ",
    "ii": "ኢ",
    "oo": "ኦ",
    "uu": "ኡ",
    "a": "አ",
    "e": "ኤ",
    "i": "ኢ",
    "o": "ኦ",
    "u": "ኡ",
}
_PIECE = re.compile("|".join(sorted((*_CONSONANTS, *_VOWELS, "'"), key=len, reverse=True)))
_LONG_VOWEL = re.compile("aa|ii|uu")
_LONG_END = re.compile(r"[^aeiou](?:oo|ee)$")
_LONG_BEFORE_DOUBLED = re.compile(r"([aeiou])\1([^aeiou])\2")
_SHORTEST = 4


def looks_oromo(word: str) -> bool:
    """True for a lower-case word with vowels doubled as qubee doubles them and English does not."""
    if len(word) < _SHORTEST or _PIECE.sub("", word):
        return False
    if _LONG_VOWEL.search(word) or _LONG_BEFORE_DOUBLED.search(word):
        return True
    return _LONG_END.search(word) is not None and len(re.findall("oo|ee", word)) > 1


@lru_cache(maxsize=4096)
def read_oromo(word: str) -> str:
    """A lower-case word in Amharic letters: `oromiyaa` ኦሮሚያ, `finfinnee` ፊንፊኔ; doubled consonants once."""
    out: list[str] = []
    pieces = _PIECE.findall(word)
    after_consonant = False
    for place, piece in enumerate(pieces):
        if piece in _VOWELS:
            if after_consonant:
                out[-1] = to_order(out[-1], _VOWELS[piece])
            else:
                out.append(_ALONE[piece])
            after_consonant = False
        elif piece in _CONSONANTS:
            if place and pieces[place - 1] == piece:
                continue
            out.append(_CONSONANTS[piece])
            after_consonant = True
        else:
            after_consonant = False
    return "".join(out)
