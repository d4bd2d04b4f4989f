"""Abbreviations (reference 1.7): letters joined by `/` or `.`, resolved by table, then by stem rules.

A form is taken apart into prefix, stem and suffix, so that `ለጽ/ቤቱን` is `ለጽሕፈት ቤቱን`; the stem is looked up with homophones
folded and separators levelled, so that `ፅ.ቤት` is the same as `ጽ/ቤት`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from amtts_core.text import tables
from amtts_core.text.amharic.letters import PACKAGE, fold_homophones
from amtts_core.text.ethiopic import LETTER, order_of, same_row, to_order
from amtts_core.text.rules import Stage, Substitution

_JOINED = re.compile(rf"(?<![{LETTER}])[{LETTER}]+(?:\s?(?:/|\.(?![.])) ?[{LETTER}]+)+(?:\.(?!\.)|(?<=ም)/)?")
_DOTTED_WORD = re.compile(rf"(?<![{LETTER}./])(?P<word>[{LETTER}]{{1,4}})\.(?![{LETTER}.])")
_TAIL = re.compile("(?:[ውዋንምናስማ]|ዎች|ዎቹ|ዎቻችን|ች|ቹ|ቻችን|ቻቸው|ችን|ችሁ|ቸው|ዬ|ዎ|ህ|ሽ|ያት|ያቱ|ኦች|ን)*")


def rule_table() -> Mapping[str, Any]:
    """Heads, prefixes and context words."""
    table: Mapping[str, Any] = tables.document(PACKAGE, "abbreviation_rules.json")
    return table


@cache
def stems() -> dict[str, str]:
    """Every listed abbreviation by its lookup key."""
    return {_key(short): full for short, full in tables.pairs(PACKAGE, "abbreviations.tsv").items()}


def _key(form: str) -> str:
    return fold_homophones("/".join(part.strip() for part in re.split("[./]", form) if part.strip()))


@lru_cache(maxsize=8192)
def expand(form: str) -> str | None:
    """The reading of one abbreviation without its surroundings; None where no rule knows it."""
    parts = [part.strip() for part in re.split("[./]", form) if part.strip()]
    if not parts:
        return None
    for prefix in ("", *_prefixes(parts[0])):
        stem = [parts[0][len(prefix) :], *parts[1:]]
        if found := _by_table(stem) or _by_head(stem) or _by_name(stem):
            return _bind(prefix, found)
    return _by_letters(parts)


def _prefixes(first: str) -> list[str]:
    known = [prefix for prefix in rule_table()["prefixes"] if first.startswith(prefix) and first != prefix]
    return sorted(known, key=len)


def _bind(prefix: str, reading: str) -> str:
    """A prefix takes the place of a genitive የ at the head of the reading: `በተ.መ.ድ` is በተባበሩት …"""
    return prefix + (reading[1:] if prefix and reading.startswith("የ") and len(reading) > 4 else reading)


def _by_table(parts: list[str]) -> str | None:
    """The listed form itself, or with a suffix on its last part (`ጽ/ቤቱን`, `ት/ቤቶች`, `ጠ/ሚ/ሩ`)."""
    key = _key("/".join(parts))
    if key in stems():
        return stems()[key]
    head, _, last = key.rpartition("/")
    written = parts[-1]
    for length in range(len(last), 0, -1):
        suffix = written[length:]
        for changed in (False, True):
            stem_last = last[: length - 1] + (to_order(last[length - 1], 6) if changed else last[length - 1])
            reading = stems().get(f"{head}/{stem_last}")
            if reading is None or (changed and order_of(last[length - 1]) == 6):
                continue
            if not _TAIL.fullmatch(suffix):
                continue
            if not changed:
                return reading + suffix
            if same_row(fold_homophones(reading[-1]), last[length - 1]):
                return reading[:-1] + to_order(reading[-1], order_of(last[length - 1])) + suffix
    return None


def _by_head(parts: list[str]) -> str | None:
    """`ም/X` ምክትል X, `ጠ/X` ጠቅላይ X, `ተ/ም/X` ተጠባባቂ ምክትል X; the rest may be an abbreviation again."""
    heads: Mapping[str, str] = rule_table()["heads"]
    for count in (2, 1):
        head = "/".join(parts[:count])
        if len(parts) <= count or head not in heads:
            continue
        rest = parts[count:]
        reading = rest[0] if len(rest) == 1 and len(rest[0]) >= 2 else _by_table(rest) or _by_head(rest)
        needed = rule_table()["head_needs"].get(head)
        if reading and (needed is None or any(reading.startswith(word) for word in needed)):
            return f"{heads[head]} {reading}"
    return None


def _by_name(parts: list[str]) -> str | None:
    """`ገ/ ወ/ ኃ/ ተ/ ኪ/ ቅ/` before a holy name: ገብረ ወልደ ኃይለ ተክለ ኪዳነ ቅዱስ (ቅድስት before a woman's name)."""
    if len(parts) != 2:
        return None
    heads = {fold_homophones(head): full for head, full in rule_table()["name_heads"].items()}
    head, name = fold_homophones(parts[0]), fold_homophones(parts[1])
    if head not in heads or not any(name.startswith(fold_homophones(holy)) for holy in rule_table()["holy"]):
        return None
    feminine = any(name.startswith(fold_homophones(holy)) for holy in rule_table()["feminine_holy"])
    return f"{'ቅድስት' if head == 'ቅ' and feminine else heads[head]} {parts[1]}"


def _by_letters(parts: list[str]) -> str | None:
    """`ኤች.አይ.ቪ`: letter names lose their dots; three or more single letters are an acronym read as a word."""
    names = set(rule_table()["letter_names"])
    bare = [parts[0].lstrip("".join(rule_table()["prefixes"][:4])) or parts[0], *parts[1:-1]]
    if all(part in names for part in bare) and (
        parts[-1] in names or any(parts[-1].startswith(n) for n in names)
    ):
        return " ".join(parts)
    if len(parts) >= 3 and all(len(part) <= 2 for part in parts):
        return "".join(parts)
    return None


def _read_joined(match: re.Match[str]) -> str:
    form = match[0]
    found = _minister(match) or expand(form) or _letters_then_word(form)
    if found is None and "/" in form and "." in form.rstrip("."):
        return "/".join(expand(part) or part for part in form.split("/"))
    return form if found is None else found


def _letters_then_word(form: str) -> str | None:
    """`ኤች.አይ.ቪ/ኤድስ`: letter names, a slash and a word."""
    head, slash, tail = form.rpartition("/")
    if not slash or "." not in head:
        return None
    found = expand(head)
    return f"{found} {tail}" if found else None


def _minister(match: re.Match[str]) -> str | None:
    """`ሚ/ር`: the person after a ministry's name and before a title, the institution otherwise, ሚስተር before a bare name."""
    if _key(match[0]) != "ሚ/ር":
        return None
    before = match.string[: match.start()].split()[-1:]
    after = match.string[match.end() :].split()[:1]
    table = rule_table()
    ministry = before and any(before[0].rstrip("ና").endswith(word) for word in table["ministries"])
    if ministry:
        person = after and any(after[0].startswith(title) for title in table["titles"])
        return "ሚኒስትር" if person else "ሚኒስቴር"
    if before and before[0] in ("ጠቅላይ", "ምክትል"):
        return "ሚኒስትር"
    return "ሚስተር" if after and after[0][0] >= "ሀ" else "ሚኒስቴር"


def _read_dotted_word(match: re.Match[str]) -> str:
    """`ሜ.` after a number, `ቁ.` before one; alone in a text nothing contradicts either."""
    table, word, text = rule_table(), match["word"], match.string
    alone = text.strip() == match[0]
    after_number = re.search(r"[0-9፩-፼]\s?$", text[: match.start()]) is not None
    before_number = re.match(r"\s?[0-9፩-፼]", text[match.end() :]) is not None
    if word in table["after_number"] and (after_number or (alone and word in ("ሜ", "ግ"))):
        return str(table["after_number"][word])
    for prefix in ("", "የ", "በ", "ለ", "ከ"):
        stem = word.removeprefix(prefix)
        if stem in table["before_number"] and (before_number or alone):
            return (prefix if word != stem else "") + str(table["before_number"][stem]) + _gap(match)
        if stem in table["plain"]:
            return (prefix if word != stem else "") + str(table["plain"][stem]) + _gap(match)
    return match[0]


def _gap(match: re.Match[str]) -> str:
    following = match.string[match.end() :][:1]
    return "" if not following or following.isspace() else " "


def is_abbreviation(word: str) -> bool:
    """True for a dotted form whose last dot does not end the sentence: `ዓ.ም.`, `ኤች.አይ.ቪ.`, `ቁ.`"""
    table = rule_table()
    stem = word.strip(".")
    return "." in stem or stem in table["before_number"] or stem in table["plain"]


def abbreviations_stage() -> Stage:
    """Slashed and dotted forms, then single dotted words."""
    return Stage(
        "abbreviations",
        (
            Substitution("abbreviation", _JOINED, _read_joined, needs="/."),
            Substitution("abbreviation", _DOTTED_WORD, _read_dotted_word, needs="."),
        ),
        re.compile("[/.]"),
    )
