"""Resolves one abbreviated form (`ለጽ/ቤቱን`) to its reading, by table, then by stem rules (reference 1.7).

A form is taken apart into prefix, stem and suffix. The stem is looked up with homophones folded and separators
levelled, so that `ፅ.ቤት` is the same as `ጽ/ቤት`. Knows nothing of the words around the form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from amtts_core.text import tables
from amtts_core.text.amharic.letters import PACKAGE, fold_homophones
from amtts_core.text.ethiopic import order_of, same_row, to_order

_LEVEL = str.maketrans("ኰጐቈኈኵጕቍኍ", "ኮጎቆሆኩጉቁሁ")
_TAIL = re.compile("(?:ዎቻቸው|ዎቻችን|ዎቻችሁ|ቻችን|ቻቸው|ቻችሁ|ቼ|ቿ|ዎች|ዎቹ|ችን|ችሁ|ቸው|ነት|ታቸው|ች|ቹ|ዬ|ዎ|ህ|ሽ|ያን|ው|ዋ|ን|ም|ና|ስ|ማ)*")
LONGEST_FORM = 64
"""Characters of the longest form that the rules are asked about; the longest listed one has far fewer."""
_MOST_PARTS = 10
_AFTER_CHANGED = {2: "", 4: "(?:ችን|ችሁ|ቸው)", 5: "", 7: "(?:ች|ቹ|ቻ|ቼ|ቿ)", 8: ""}
"""Orders that a suffix gives the last letter, with what must follow: ቤቱ, ቤታችን, ቤቴ, ቤቶች, ሚኒስትሯ."""


def rule_table() -> Mapping[str, Any]:
    """Heads, prefixes and context words."""
    table: Mapping[str, Any] = tables.document(PACKAGE, "abbreviation_rules.json")
    return table


def fold(text: str) -> str:
    """Levels the spellings of one sound, for lookups only."""
    return fold_homophones(text.translate(_LEVEL))


def split_parts(form: str) -> list[str]:
    """The letters between the separators."""
    return [part.strip() for part in re.split("[./]", form) if part.strip()]


def key_of(form: str) -> str:
    """What a form is looked up by."""
    return fold("/".join(split_parts(form)))


@cache
def listed() -> Mapping[str, str]:
    """Every listed abbreviation as it is written; settles what folding would confuse (`ዓ.ዓ`, `አ.አ`)."""
    return tables.pairs(PACKAGE, "abbreviations.tsv")


@cache
def stems() -> dict[str, str]:
    """Every listed abbreviation by its key; the form that is spelled like its key goes first."""
    found: dict[str, str] = {}
    for short, full in sorted(
        listed().items(), key=lambda pair: pair[0].replace(".", "/") != key_of(pair[0])
    ):
        found.setdefault(key_of(short), full)
    return found


@cache
def _folded(name: str) -> dict[str, str]:
    return {fold(short): full for short, full in rule_table()[name].items()}


@lru_cache(maxsize=8192)
def expand(form: str) -> str | None:
    """The reading of one form; None where no rule knows it."""
    parts = split_parts(form)
    if len(parts) < 2:
        return None
    if len(parts) > _MOST_PARTS or len(form) > LONGEST_FORM:
        return _by_letters(parts)  # no abbreviation; the other rules would try every way to cut it
    for prefix in ("", *rule_table()["prefixes"]):
        if form.startswith(prefix) and (reading := listed().get(form[len(prefix) :].rstrip("."))):
            return _bind(prefix, reading)
    for rule in (_by_table, _by_name, _by_segments, _by_longer_head, _by_broken_word, _by_head):
        for prefix, stem in _prefixed(parts):
            if reading := rule(stem):
                return _bind(prefix, reading)
    return _by_letters(parts)


@lru_cache(maxsize=2048)
def expand_listed(form: str) -> str | None:
    """The reading of a form whose stem is in the table; the rules are not asked."""
    for prefix, stem in _prefixed(split_parts(form)):
        if len(stem) > 1 and (reading := stems().get(key_of("/".join(stem)))):
            return _bind(prefix, reading)
    return None


def _prefixed(parts: list[str]) -> list[tuple[str, list[str]]]:
    """Every way to take a prefix off: none, off the first part, or the first part itself (`በ/ተ/መ/ድ`)."""
    first, *rest = parts
    ways = [("", parts)]
    for prefix in rule_table()["prefixes"]:
        if first.startswith(prefix) and first != prefix:
            ways.append((prefix, [first[len(prefix) :], *rest]))
        elif first == prefix and len(parts) > 2:
            ways.append((prefix, rest))
    return ways


def _bind(prefix: str, reading: str) -> str:
    """A prefix takes the place of a genitive የ (`በተ.መ.ድ` በተባበሩት …) and of እንደ in the names of calendars."""
    if not prefix:
        return reading
    if reading.startswith("የ"):
        return prefix + reading[1:]
    return prefix + reading.removeprefix("እንደ ")


def _by_table(parts: list[str]) -> str | None:
    """The listed form, or the listed form with a suffix on its last part (`ጽ/ቤቱን`, `ት/ቤቶች`, `ጠ/ሚ/ሩ`)."""
    if len(parts) < 2:
        return None
    key = key_of("/".join(parts))
    if key in stems():
        return stems()[key]
    head, _, last = key.rpartition("/")
    written = parts[-1]
    if (reading := stems().get(head)) and len(written) <= 4:
        if same_row(reading[-1], written[0]) and order_of(written[0]) == 2 and _TAIL.fullmatch(written[1:]):
            return reading[:-1] + written
        if _TAIL.fullmatch(written):
            return reading + written
    for length in range(len(last), 0, -1):
        if found := _with_suffix(f"{head}/{last[:length]}", written[length:]):
            return found
    return None


def _with_suffix(key: str, suffix: str) -> str | None:
    if not _TAIL.fullmatch(suffix):
        return None
    if key in stems():
        return stems()[key] + suffix
    order = order_of(key[-1])
    if order not in _AFTER_CHANGED or not re.match(_AFTER_CHANGED[order], suffix):
        return None
    reading = stems().get(key[:-1] + to_order(key[-1], 6))
    if reading is None or not same_row(fold(reading[-1]), key[-1]):
        return None
    return reading[:-1] + to_order(reading[-1], order) + suffix


def _by_longer_head(parts: list[str]) -> str | None:
    """`ትም/ቤት`, `ጠቅ/ሚኒስትር`: more of the first word than its first letter, and the reading must begin with it."""
    first, *rest = parts
    if len(first) < 2:
        return None
    shorter = [first[0], *rest]
    reading = _by_table(shorter) or _by_head(shorter)
    return reading if reading is not None and fold(reading).startswith(fold(first)) else None


@cache
def _full_words() -> frozenset[str]:
    """Every word of four letters and more that an abbreviation stands for, folded."""
    readings = [*listed().values(), *rule_table()["heads"].values()]
    return frozenset(fold(word) for reading in readings for word in reading.split() if len(word) >= 4)


def _by_broken_word(parts: list[str]) -> str | None:
    """`ጠ/ቅላይ`, `ጽ/ህፈት`: a whole word with a slash in it by mistake."""
    word = "".join(parts)
    for length in range(len(word), 3, -1):
        if fold(word[:length]) in _full_words() and _TAIL.fullmatch(word[length:]):
            return word
    return None


def _by_head(parts: list[str]) -> str | None:
    """`ም/X` ምክትል X, `ጠ/X` ጠቅላይ X, `ተ/ም/X` ተጠባባቂ ምክትል X; the rest may be an abbreviation again."""
    heads = _folded("heads")
    for count in (2, 1):
        head, rest = fold("/".join(parts[:count])), parts[count:]
        if not rest:
            continue
        word = rest[0] if len(rest) == 1 else ""
        reading = word or _by_table(rest) or _by_head(rest)
        if reading is None:
            continue
        for short, before, full in rule_table()["heads_before"]:
            if fold(short) == head and reading.startswith(tuple(before)):
                return f"{full} {reading}"
        if head in heads and (not word or len(word) >= _shortest_word(head)):
            return f"{heads[head]} {reading}"
    return None


def _shortest_word(head: str) -> int:
    lengths = {fold(short): length for short, length in rule_table()["head_word_length"].items()}
    return lengths.get(head, 2)


def _by_name(parts: list[str]) -> str | None:
    """`ገ/ ወ/ ኃ/ ተ/ ኪ/ ቅ/` before a holy name: ገብረ ወልደ ኃይለ ተክለ ኪዳነ ቅዱስ (ቅድስት before a woman's name)."""
    if len(parts) != 2:
        return None
    head, name = fold(parts[0]), fold(parts[1])
    heads = _folded("name_heads")
    if head not in heads or not name.startswith(_folded_words("holy")):
        return None
    feminine = head == "ቅ" and name.startswith(_folded_words("feminine_holy"))
    return f"{'ቅድስት' if feminine else heads[head]} {parts[1]}"


@cache
def _folded_words(name: str) -> tuple[str, ...]:
    return tuple(fold(word) for word in rule_table()[name])


def _by_segments(parts: list[str]) -> str | None:
    """Listed forms in a row, perhaps with a full word at the end: `ወ/መ/ሕ/ሥ/ሥ/ቁ`, `ጠ/ሚ/መለስ`, `እ.ኤ.አ.በ`."""
    spoken: list[str] = []
    place, listed = 0, False
    while place < len(parts):
        for end in range(len(parts), place + 1, -1):
            if found := _by_table(parts[place:end]):
                spoken.append(found)
                place, listed = end, True
                break
        else:
            part = parts[place]
            single = _folded("segments").get(fold(part))
            is_last_word = place == len(parts) - 1 and (len(part) >= 3 or part in rule_table()["prefixes"])
            if not listed or not (single or is_last_word):
                return None
            spoken.append(single or part)
            place += 1
    return " ".join(spoken)


def _by_letters(parts: list[str]) -> str | None:
    """`ኤች.አይ.ቪ`: letter names lose their dots; the letters of an acronym that is read as a word are joined."""
    names = frozenset(rule_table()["letter_names"])
    first = parts[0] if parts[0] in names else parts[0][1:]
    if first in names and all(part in names for part in parts[1:-1]):
        last = parts[-1]
        if any(
            last == name or (last.startswith(name) and _TAIL.fullmatch(last[len(name) :])) for name in names
        ):
            return " ".join(parts)
        if len(parts) >= 3 and len(last) >= 3:
            return " ".join(parts)
    word = "".join(parts)
    acronyms = _folded_words("acronyms")
    known = fold(word).startswith(acronyms) or fold(word[1:]).startswith(acronyms)
    return word if known and len(parts) >= 3 else None
