"""Amharic typed in Latin letters (`selam`, `betam`), and Ethiopian names: a word list, then the common romanization.

What the rules read is a guess: Latin letters do not tell ት from ጥ, nor the vowel of the first order from no vowel.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from amtts_core.text import tables
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.text.amharic.spelling import plain_letters
from amtts_core.text.ethiopic import to_order

_CONSONANTS = {
    "tch": "ች", "tsh": "ች", "ch": "ች", "sh": "ሽ", "gn": "ኝ", "ny": "ኝ", "ts": "ጽ", "tz": "ጽ", "zh": "ዥ", "kh": "ኽ",
    "ph": "ጵ", "th": "ጥ", "b": "ብ", "c": "ች", "d": "ድ", "f": "ፍ", "g": "ግ", "h": "ህ", "j": "ጅ", "k": "ክ", "l": "ል",
    "m": "ም", "n": "ን", "p": "ፕ", "q": "ቅ", "r": "ር", "s": "ስ", "t": "ት", "v": "ቭ", "w": "ው", "x": "ጥ", "y": "ይ",
    "z": "ዝ",
}  # fmt: skip
_VOWELS = {"ie": 5, "ee": 3, "oo": 2, "ou": 2, "a": 4, "e": 1, "i": 3, "o": 7, "u": 2}
_ALONE = {"a": "አ", "e": "እ", "i": "ኢ", "o": "ኦ", "u": "ኡ", "ie": "ኤ", "ee": "ኢ", "oo": "ኡ", "ou": "ኡ"}
_SHORT = 4
_ALL_E = re.compile(r"(?:[aei]?[^aeiou]+)(?:e[^aeiou]+)+e")
_ETHIOPIAN = re.compile(
    r"tse|tsi|tsa|tsu|tsion|ogn|egn|agn|gna|gne|qe|qi|wold|weld|gebr|hail|sela|mariam|yoh|tesf|birh|berh|mekon|"
    r"nesh$|aleh$|alesh$|alehu$|achihu$|nech$|ebech$|ayehu$|achew$|ahun$|uneh$|neh$|awit$|iwot$|ework|egn$|alem|hiw|zew|yew|lem$|ye$|chew|kidan|"
    r"weyn|woyn|dawi|negu|nigu|demis|deme|kebe|beke|abeb|tade|tefe|teklu?|wubi|mulu|shewa|gird|tiru|melk|lij|amba"
)


@cache
def words() -> dict[str, str]:
    """Romanized words to their Amharic spelling."""
    return dict(tables.pairs(PACKAGE, "romanized_words.tsv"))


def looks_ethiopian(word: str) -> bool:
    """True for a lower-case word with the letter groups of an Ethiopian name."""
    return _ETHIOPIAN.search(word) is not None or (len(word) >= 5 and _ALL_E.fullmatch(word) is not None)


@lru_cache(maxsize=8192)
def by_rule(word: str) -> str:
    """A lower-case romanized word in Amharic letters: `kebede` ከበደ, `haile` ሀይሌ, `tsehay` ጸሃይ."""
    plain = plain_letters(word)
    out: list[str] = []
    place = 0
    while place < len(plain):
        step = next((n for n in (3, 2, 1) if plain[place : place + n] in _CONSONANTS), 0)
        if not step:
            vowel = _vowel_at(plain, place)
            _alone(out, plain, place, vowel)
            place += len(vowel)
            continue
        letter = _CONSONANTS[plain[place : place + step]]
        place += step
        if plain[place : place + 2] in ("ua", "wa") and letter in "ቅክግሙኝልምርስሽብትችንዝድጅጥፍ":
            out.append(
                to_order({"ክ": "ኵ", "ግ": "ጕ", "ቅ": "ቍ"}.get(letter, letter), 4 if letter in "ክግቅ" else 8)
            )
            place += 2
            continue
        vowel = _vowel_at(plain, place)
        out.append(to_order(letter, _order(plain, place, vowel)) if vowel else letter)
        place += len(vowel)
    return "".join(out)


def _vowel_at(word: str, place: int) -> str:
    return next((word[place : place + n] for n in (2, 1) if word[place : place + n] in _VOWELS), "")


def _order(word: str, place: int, vowel: str) -> int:
    """`e` is the first order, at the end the fifth unless all vowels are e; `i` before two consonants is the sixth.

    So it is in the prefixes of verbs, `ti-`, `yi-` and `ni-`.
    """
    after = word[place + len(vowel) :]
    if vowel == "e" and not after:
        return 1 if _ALL_E.fullmatch(word) else 5
    if vowel == "i" and place == 1 and word[0] in "tyn" and len(word) > _SHORT:
        return 6
    if vowel == "i" and after and (len(after) == 1 or after[1] not in "aeiou") and after[0] not in "aeiou":
        return 6 if not re.match(r"(?:sh|ch|ts|gn|ny)[aeiou]", after) else 3
    return _VOWELS[vowel]


def _alone(out: list[str], word: str, place: int, vowel: str) -> None:
    """A vowel without a consonant: a letter of its own at the beginning, after another vowel a glide."""
    if not out:
        closed = re.match(r"[^aeiou]{2}", word[place + 1 :])
        out.append("እ" if vowel == "i" and closed else _ALONE[vowel])
    elif vowel in ("i", "ie", "ee", "e"):
        out.append("ይ" if vowel == "i" else to_order("ይ", 5))
    elif vowel == "u":
        out.append("ው")
    else:
        out.append(
            to_order(
                "ይ" if word[place - 1] in "ie" else "ው" if word[place - 1] in "uo" else "እ", _VOWELS[vowel]
            )
        )
