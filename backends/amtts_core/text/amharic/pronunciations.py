"""English words to phones: the CMU Pronouncing Dictionary, and regular inflections of its words.

The table holds one letter per phone, see `PHONES`. It leaves out what `inflected` derives from a shorter word, and is
built by `scripts/build_cmudict.py`. Copyright of the data: Carnegie Mellon University, see `data/cmudict.LICENSE`.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import resources

PHONES = {
    "AA": "a", "AE": "A", "AH0": "@", "AH": "^", "AO": "c", "AW": "W", "AY": "I", "EH": "e", "ER": "R", "EY": "F",
    "IH": "i", "IY": "Y", "OW": "o", "OY": "O", "UH": "u", "UW": "U", "B": "b", "CH": "C", "D": "d", "DH": "D",
    "F": "f", "G": "g", "HH": "h", "JH": "J", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "N", "P": "p", "R": "r",
    "S": "s", "SH": "S", "T": "t", "TH": "T", "V": "v", "W": "w", "Y": "y", "Z": "z", "ZH": "Z",
}  # fmt: skip
"""ARPAbet to the letter of the table; the only vowel whose stress is kept is AH (`@` without, `^` with)."""
VOWELS = frozenset("aA@^cWIeRFiYoOuU")
_HISSING, _VOICELESS = frozenset("szSZCJ"), frozenset("pkfTt")

Lookup = Callable[[str], str | None]


@cache
def _table() -> bytes:
    packed = resources.files("amtts_core.text.amharic") / "data" / "cmudict.txt.xz"
    return b"\n" + lzma.decompress(packed.read_bytes()) + b"\n"


@lru_cache(maxsize=16384)
def listed(word: str) -> str | None:
    """The phones of a word of the table, found by halving it; None for a word that is not there."""
    table, key = _table(), word.encode()
    low, high = 0, len(table) - 1
    while low < high:
        start = table.rfind(b"\n", low, (low + high) // 2 + 1)
        if start < low:
            start = low
        end = table.find(b"\n", start + 1)
        here, _, found = table[start + 1 : end].partition(b" ")
        if here == key:
            return found.decode()
        if here < key:
            if end == low:
                return None
            low = end
        else:
            high = start
    return None


def phones(word: str) -> str | None:
    """The phones of a lower-case English word, inflected or not; None for a word that nobody lists."""
    return listed(word) or inflected(word, listed)


def inflected(word: str, look_up: Lookup) -> str | None:
    """The phones of a regular inflection, derived from the word it is made of.

    Args:
        word: in lower case.
        look_up: phones of a shorter word.
    """
    for ending, add in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            for base in _bases(word, ending):
                if (found := look_up(base)) and (longer := add(found)):
                    return longer
    return None


def _bases(word: str, ending: str) -> tuple[str, ...]:
    """What a word may have been before its ending: `stopp-ed` stop, `mak-ing` make, `citi-es` city."""
    stem = word[: -len(ending)]
    if ending in ("s", "'s"):
        return (stem,)
    if ending == "ies":
        return (stem + "y", stem + "ie")
    if ending == "ied":
        return (stem + "y",)
    if ending in ("es", "ly", "ness", "less", "ful", "ment", "able"):
        return (stem, stem + "e") if ending in ("es", "able") else (stem,)
    single = (stem[:-1],) if len(stem) > 3 and stem[-1] == stem[-2] else ()
    return (*single, stem, stem + "e")


def _plural(base: str) -> str:
    if base[-1] in _HISSING:
        return base + "@z"
    return base + ("s" if base[-1] in _VOICELESS else "z")


def _past(base: str) -> str:
    if base[-1] in "td":
        return base + "@d"
    return base + ("t" if base[-1] in _VOICELESS | frozenset("sSC") else "d")


_ENDINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("ies", _plural),
    ("es", lambda base: base + "@z" if base[-1] in _HISSING else ""),
    ("s", lambda base: "" if base[-1] in _HISSING else _plural(base)),
    ("ied", _past),
    ("ed", _past),
    ("ing", lambda base: base + "iN"),
    ("ers", lambda base: base + "Rz"),
    ("er", lambda base: base + "R"),
    ("ly", lambda base: base + "lY"),
    ("able", lambda base: base + "@b@l"),
    ("ness", lambda base: base + "n@s"),
    ("less", lambda base: base + "l@s"),
    ("ment", lambda base: base + "m@nt"),
    ("ful", lambda base: base + "f@l"),
)
