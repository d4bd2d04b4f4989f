"""Latin words that nobody lists, read by their letters in the manner of English brand names (`Sokany` ሶካኒ).

The last resort: what it reads is counted as a guess.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from amtts_core.text.amharic.english import Pair, write

_VOWEL = "aeiouy"
_RULES = (
    ("tion", "S@n"), ("sion", "Z@n"), ("tch", "C"), ("sch", "S"), ("dge", "J"), ("igh", "I"), ("eigh", "F"),
    ("ough", "o"), ("augh", "c"), ("que", "k"), ("sh", "S"), ("ch", "C"), ("ph", "f"), ("th", "T"), ("wh", "w"),
    ("ck", "k"), ("gh", "g"), ("kn", "n"), ("wr", "r"), ("rh", "r"), ("ng", "N"), ("qu", "kw"), ("zh", "Z"),
    ("kh", "k"), ("ee", "Y"), ("ea", "Y"), ("oo", "U"), ("ou", "U"), ("ow", "o"), ("oa", "o"), ("oi", "O"),
    ("oy", "O"), ("ai", "F"), ("ay", "F"), ("ei", "F"), ("ey", "Y"), ("ie", "Y"), ("au", "W"), ("aw", "c"),
    ("ew", "U"), ("ue", "U"), ("uy", "I"),
)  # fmt: skip
_SINGLE = {
    "a": "a", "b": "b", "c": "k", "d": "d", "e": "e", "f": "f", "g": "g", "h": "h", "i": "i", "j": "J", "k": "k",
    "l": "l", "m": "m", "n": "n", "o": "o", "p": "p", "q": "k", "r": "r", "s": "s", "t": "t", "u": "U", "v": "v",
    "w": "w", "x": "ks", "y": "y", "z": "z",
}  # fmt: skip
_MAGIC_E = re.compile(r"(?P<vowel>[aiou])(?P<middle>[bcdfgklmnpstvz])e(?P<end>s?)$")
_LONG = {"a": "F", "i": "I", "o": "o", "u": "U"}


def plain_letters(word: str) -> str:
    """A word in the letters a to z: accents dropped, doubled consonants once."""
    letters = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if c.isascii() and c.isalpha())
    return re.sub(r"([^aeiou])\1", r"\1", letters)


def transliterate(word: str) -> str:
    """A guess in Amharic letters; the word itself where it has no Latin letter."""
    plain = plain_letters(word)
    if not plain:
        return word
    return write(tuple(_pairs(plain, silent_e=word[-1].isascii())))


@cache
def _rules() -> dict[str, tuple[Pair, ...]]:
    return {spelling: tuple(_split(spelling, sounds)) for spelling, sounds in _RULES}


def _split(spelling: str, sounds: str) -> list[Pair]:
    if len(sounds) == 1:
        return [(sounds, spelling)]
    return [
        (sound, "i" if sound == "S" or sound == "Z" else "o" if sound == "@" else spelling)
        for sound in sounds
    ]


def _pairs(word: str, *, silent_e: bool) -> list[Pair]:
    out: list[Pair] = []
    end = len(word)
    magic = _MAGIC_E.search(word) if silent_e and len(word) > 2 else None
    if silent_e and len(word) > 3 and word[-1] == "e" and word[-2] not in _VOWEL:
        end -= 1
    place = 0
    while place < end:
        if magic and place == magic.start():
            out.append((_LONG[word[place]], word[place]))
            place += 1
            continue
        step = next((n for n in (4, 3, 2) if word[place : place + n] in _rules() and place + n <= end), 0)
        if step:
            out += _rules()[word[place : place + step]]
            place += step
            continue
        out += _letter(word, place)
        place += 1
    return out


def _letter(word: str, place: int) -> list[Pair]:
    letter, after = word[place], word[place + 1 : place + 2]
    if letter == "c" and after in ("e", "i", "y"):
        return [("s", "c")]
    if letter == "g" and after == "e" and place + 2 >= len(word):
        return [("J", "g")]
    if letter == "y" and (not after or after not in _VOWEL) and place:
        return [("i", "y")]
    if letter == "e" and word[place:] in ("er", "ers"):
        return [("@", "e")]
    if letter == "h" and place and after and after not in _VOWEL:
        return []
    return [(sound, letter) for sound in _SINGLE[letter]]
