"""Which consonants of an Amharic word are long: a list of words, then rules for suffixes and the shapes of verbs.

The script does not show length. What a list or a rule finds is written as the mark U+135F behind the letter, as a
writer may do by hand (`ገና፟`). The list is our own; the rules follow the grammar (W. Leslau, Reference Grammar of
Amharic, 1995): the perfect of a verb lengthens its last consonant but one, the suffixes -ኛ -ነት -ኦች -ኣቸው -ች -ና and the
-ም of a negative verb have a long consonant.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from amtts_core.text import tables
from amtts_core.text.amharic.letters import PACKAGE, fold_homophones
from amtts_core.text.ethiopic import LETTER, order_of
from amtts_core.text.rules import Rule, Substitution

MARK = "\u135f"
_WORD = re.compile(f"[{LETTER}\u135d-\u135f]+")
_PREFIXES = (
    "የ",
    "በ",
    "ለ",
    "ከ",
    "ስለ",
    "እንደ",
    "ወደ",
    "እስከ",
    "የየ",
    "በየ",
    "ለየ",
    "ከየ",
    "ያለ",
    "ባለ",
    "እነ",
    "አል",
    "ሳይ",
    "ሲ",
)
_SUFFIX = re.compile("(?:[ንምስማኮ]|ና|ው|ዋ|ዎ|ዬ|ዎች|ዎቹ|ች|ቹ|ችን|ቸው|ችሁ|ቻቸው|ቻችን|ህ|ሽ|ያ|ነት|ኛ|ኝ|ዊ|ዊያን|ት|ው?ን)*")
_SHORTEST_STEM = 2
_AFTER_SHORT = re.compile("(?:ች|ቸው|ው|ዋል|ቸዋል|ን|ም|ና|ቸው?ም|ኝ)?")
_PERFECT_ENDS = re.compile("(?:ች|ኩ|ክ|ሽ|ን|ው|ም|ና)*")


@lru_cache(maxsize=16384)
def mark_length(word: str) -> str:
    """A word with the mark of length behind its long consonants."""
    marks = _by_list(word)
    marks |= _by_rule(word, known=bool(marks))
    return "".join(letter + (MARK if place in marks else "") for place, letter in enumerate(word))


def mark_rule() -> Rule:
    """The rule that marks every word of a text; a word with a mark of its own stays as it is."""
    return Substitution(
        "gemination", _WORD, lambda match: match[0] if has_mark(match[0]) else mark_length(match[0])
    )


def has_mark(word: str) -> bool:
    """True where the writer has marked length."""
    return "\u135f" in word or "\u135d" in word


@cache
def _listed() -> dict[str, frozenset[int]]:
    """Every listed word, folded, to the places of its long consonants."""
    found: dict[str, frozenset[int]] = {}
    for row in tables.rows(PACKAGE, "gemination.tsv"):
        for entry in " ".join(row).split():
            plain = entry.replace(MARK, "")
            places = [m.start() - 1 - k for k, m in enumerate(re.finditer(MARK, entry))]
            found.setdefault(fold_homophones(plain), frozenset(places))
    return found


@cache
def _stems() -> dict[str, frozenset[int]]:
    """The listed words by their letters but the last, and the row of the last."""
    return {_stem(word): places for word, places in _listed().items() if len(word) > _SHORTEST_STEM}


def _stem(word: str) -> str:
    """A word with its last letter in the first order, so that `እናት`, `እናቴ` and `እናቶ` are one."""
    last = ord(word[-1])
    return word[:-1] + chr(last - (last - 0x1200) % 8)


def _by_list(word: str) -> frozenset[int]:
    folded = fold_homophones(word)
    for prefix in ("", *(p for p in _PREFIXES if folded.startswith(p))):
        rest = folded[len(prefix) :]
        if len(rest) < _SHORTEST_STEM:
            continue
        if (places := _match(rest)) is not None:
            return frozenset(place + len(prefix) for place in places)
    return frozenset()


def _match(word: str) -> frozenset[int] | None:
    """The places of the longest listed word at the beginning of this one, where nothing but suffixes follows it."""
    if (places := _listed().get(word)) is not None:
        return places
    for length in range(len(word), _SHORTEST_STEM, -1):
        if not _SUFFIX.fullmatch(word[length:]):
            continue
        if (places := _listed().get(word[:length])) is not None:
            return places
        if (places := _stems().get(_stem(word[:length]))) is not None:
            return places
    short = word[:_SHORTEST_STEM]
    if short in _listed() and _AFTER_SHORT.fullmatch(word[_SHORTEST_STEM:]):
        return _listed()[short]
    return None


def _by_rule(word: str, *, known: bool) -> set[int]:
    """Long consonants of suffixes; those of a verb only where the list does not know the word."""
    marks: set[int] = set()
    orders = [order_of(letter) for letter in word]
    last = len(word) - 1
    for place, letter in enumerate(word):
        if place and letter in "ኛኞ":
            marks.add(place)
        if place and letter in "ችቹቻቼ" and orders[place - 1] == 7 and len(word) > 2:
            marks.add(place)
    for ending in ("ቸው", "ችሁ", "ችን"):
        place = word.rfind(ending)
        if place > 1 and orders[place - 1] == 4 and len(word) - place <= len(ending) + 1:
            marks.add(place)
    if last >= 2 and word.endswith("ች") and orders[last - 1] in (1, 4):
        marks.add(last)
    if last >= 3 and word.endswith("ነት") and word != "እውነት":
        marks.add(last - 1)
    if last >= 3 and word.endswith("ና") and orders[last - 1] == 6:
        marks.add(last)
    if last >= 3 and word.endswith("ም") and word.startswith(("አል", "አይ", "አት", "አን")):
        marks.add(last)
    if not known:
        marks |= _verb(word, orders)
    return marks


def _verb(word: str, orders: list[int]) -> set[int]:
    """`ከፈተ` kəfːətə, `ተከፈተች`: three or more letters of the first order; `ጠንካራ` t’ənkarːa: the shape of qualities."""
    if orders == [1, 6, 4, 4]:
        return {3}
    stem = len(word)
    while stem > 3 and _PERFECT_ENDS.fullmatch(word[stem - 1 :]):
        stem -= 1
    if stem >= 3 and all(order == 1 for order in orders[:stem]):
        return {stem - 2}
    return set()
