"""Finds abbreviations in a text and settles those that depend on their neighbours (reference 1.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from amtts_core.text.amharic.abbreviation_forms import (
    LONGEST_FORM,
    expand,
    expand_listed,
    fold,
    key_of,
    rule_table,
)
from amtts_core.text.amharic.numbers import words
from amtts_core.text.amharic.scripture import is_book, kind_rules
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Stage, Substitution, literal

_JOINED = re.compile(rf"(?<![{LETTER}])[{LETTER}]+(?:[/.][{LETTER}]+)+\.?(?!\.)")
_SPACED = re.compile(
    rf"(?<![{LETTER}./])[{LETTER}]{{1,4}}(?: ?[./] ?[{LETTER}]{{1,5}})+(?:(?:\.|(?<=ም)/)(?![.{LETTER}]))?"
)
_GAP = re.compile(rf"[{LETTER}](?:[./] | [./] ?)[{LETTER}]")
_SINGLE = re.compile(rf"(?<![{LETTER}./])(?P<word>[{LETTER}]{{1,4}})\.(?![{LETTER}.])")
_WHOLE = re.compile(rf"(?<![{LETTER}])[ዓአዐ] ?ም(?![{LETTER}])\.?")
_CALENDAR = re.compile(rf"(?<![{LETTER}])([የበለከ]?)(እ[ኤአ]አ)(?![{LETTER}])")
_LETTER_NAMES_SLASH = re.compile(r"ኤች አይ ቪ/(?=ኤድስ)")
_LATIN_ERA = re.compile(r"(?<=[0-9])\s?([EG])\. ?C\b\.?")
_ERAS = {"E": "ዓመተ ምሕረት", "G": "እንደ አውሮፓውያን አቆጣጠር"}
_DIGIT_BEFORE = re.compile(r"[0-9፩-፼]\s?$")
_DIGIT_AFTER = re.compile(r"\s?[:፦]?\s?(?:[0-9፩-፼]|[A-Z]{1,3}-?[0-9])")
_SPACED_PREFIXES = (" የ", " በ", " ለ", " ከ", " እስከ", " ወደ")
_SHORT_PREFIXES = ("", "የ", "በ", "ለ", "ከ")


def _read_joined(match: re.Match[str]) -> str:
    form = match[0]
    found = _minister(match) or expand(form)
    if found is None and "/" in form and "." in form.rstrip("."):
        found = _dotted_names_and_word(form)
    if found is None:
        return form
    return found if found.endswith(_SPACED_PREFIXES) else found + _gap(match)


def _dotted_names_and_word(form: str) -> str | None:
    """`ኤች.አይ.ቪ/ኤድስ`: letter names, a slash and a word."""
    head, _, tail = form.rpartition("/")
    found = expand(head)
    return None if found is None else f"{found} {tail}"


def _read_spaced(match: re.Match[str]) -> str:
    """`ዓ. ም.`, `እ. ኤ. አ`: only listed forms may hold spaces; the longest that fits, then the rest again."""
    form, place, spoken = match[0], 0, []
    while inner := _SPACED.search(form[place : place + LONGEST_FORM]):
        start = place + inner.start()
        found, end = _listed_at(form, start)
        if found is None:
            break
        spoken.append(form[place:start] + found)
        place = end
        while form[place : place + 1] in (".", " ", "/"):
            place += 1
    return " ".join((*spoken, form[place:])) if form[place:] else " ".join(spoken)


def _listed_at(form: str, start: int) -> tuple[str | None, int]:
    """The reading of the longest listed form with a space in it that begins at a place, and its end."""
    for end in range(min(len(form), start + LONGEST_FORM), start + 2, -1):
        inside = end < len(form) and form[end].isalpha()
        candidate = form[start:end]
        if not inside and " " in candidate.strip() and (found := expand_listed(candidate)):
            return found, end
    return None, start


def _minister(match: re.Match[str]) -> str | None:
    """`ሚ/ር`: the person after an office and before a name, the institution by itself, ሚስተር before a foreign name."""
    key = key_of(match[0])
    if key not in ("ሚ/ር", *(prefix + "ሚ/ር" for prefix in _SHORT_PREFIXES)):
        return None
    table = rule_table()
    start, end = match.span()
    before = "".join(match.string[max(0, start - LONGEST_FORM) : start].split(" ")[-2:-1])
    after = match.string[end : end + LONGEST_FORM].split()[:1]
    following = after[0] if after else ""
    prefix = key[0] if len(key) == 4 else ""
    return prefix + _minister_reading(table, before, following)


def _minister_reading(table: Mapping[str, Any], before: str, following: str) -> str:
    person, institution = "ሚኒስትር", "ሚኒስቴር"
    if following.startswith(("ዴኤታ", *table["minister_after"])) or before.endswith(("ጠቅላይ", "ምክትል")):
        return person
    if before.strip("፣") in ("ክቡር", "ክብርት", "አቶ", "ቀዳማዊ"):
        return person
    if not following[:1].isalpha() or following.startswith(tuple(table["institution_after"])):
        return institution
    named = following.startswith((*table["titles"], *table["given_names"]))
    ministries = tuple(table["ministries"])
    if before.endswith(ministries) or before.removesuffix("ና").endswith(ministries):
        named = named or following.startswith(tuple(table["foreign_names"]))
        return person if named else institution
    return person if before.startswith("የ") or named else "ሚስተር"


def _read_single(match: re.Match[str]) -> str:
    """`ሜ.` after a number, `ቁ.` before one; alone in a text nothing contradicts either."""
    table, word, text = rule_table(), match["word"], match.string
    alone = text.strip() == match[0]
    after_number = _follows_digit(match) or (alone and word not in table["before_number"])
    if after_number and word in table["after_number"]:
        return str(table["after_number"][word])
    for prefix in _SHORT_PREFIXES:
        stem = word.removeprefix(prefix)
        kept = word[: len(word) - len(stem)]
        if stem in table["before_number"] and (alone or _DIGIT_AFTER.match(text, match.end())):
            return kept + str(table["before_number"][stem]) + _gap(match)
        if stem in table["plain"]:
            return kept + str(table["plain"][stem]) + _gap(match)
    return match[0]


def _read_era(match: re.Match[str]) -> str:
    """`ዓም`, `ዓ ም` after a year or alone."""
    alone = match.string.strip() == match[0]
    return str(rule_table()["whole_words"]["ዓም"]) if alone or _follows_digit(match) else match[0]


def _read_calendar(match: re.Match[str]) -> str:
    """`እኤአ`: the calendar mark without its dots."""
    return match[1] + (expand("/".join(match[2])) or match[2]).removeprefix("እንደ " if match[1] else "")


def _follows_digit(match: re.Match[str]) -> bool:
    return _DIGIT_BEFORE.search(match.string, max(0, match.start() - 2), match.start()) is not None


def _gap(match: re.Match[str]) -> str:
    following = match.string[match.end() : match.end() + 1]
    return " " if following.isalnum() else ""


def is_abbreviation(word: str) -> bool:
    """True for a dotted form whose last dot does not end the sentence: `ዓ.ም.`, `ኤች.አይ.ቪ.`, `ቁ.`, `መዝ.`, `Dr.`"""
    table = rule_table()
    stem = word.strip(".")
    if stem.isascii():
        return "." in stem or stem in words()["latin_titles"] or (len(stem) == 1 and stem.isupper())
    stems = (stem, stem[1:]) if stem[:1] in _SHORT_PREFIXES else (stem,)
    listed = any(form in table[name] for form in stems for name in ("before_number", "plain"))
    return "." in stem or listed or fold(stem) == "አም" or is_book(stem)


_UNDOTTED = ("ዓም", "ዓ ም", "አ ም", "እኤአ", "እአአ")
_AT_A_LETTER = re.compile(rf"[{LETTER}C] ?([/.])")


def _dots_and_slashes(text: str, _signs: AbstractSet[str]) -> AbstractSet[str]:
    """The dots and slashes behind a letter; those of numbers are none of an abbreviation."""
    return set(_AT_A_LETTER.findall(text))


UNKNOWN = "unknown-abbreviation"
"""The rule that takes a form apart which no table and no rule resolves."""
_UNRESOLVED = re.compile(
    rf"(?<![{LETTER}/.])[{LETTER}]{{1,5}}(?:[/.][{LETTER}]{{1,5}})+(?![/.]?[{LETTER}])\.?(?!\.)"
)


def _unresolved(match: re.Match[str]) -> str:
    """`አ/ማርያም`: an initial and a word, or initials; three and more are read as a word; two short words are words."""
    parts = re.split("[/.]", match[0].rstrip("."))
    shortest = min(map(len, parts))
    if shortest > 1 or (len(parts) == 2 and parts[0] in rule_table()["prefixes"]):
        return match[0]
    if len(parts) > 2 and max(map(len, parts)) < 3:
        return "".join(parts) + _gap(match)
    initials = max(map(len, parts)) == 1 and match.string[match.end() :].strip()
    return " ".join(parts) + ("" if initials else match[0][len(match[0].rstrip(".")) :])


def abbreviations_stage() -> Stage:
    """Forms with slashes or dots, forms with spaces after the dots, single dotted words, the era without dots."""
    return Stage(
        "abbreviations",
        (
            *kind_rules(),
            Substitution("era", _LATIN_ERA, lambda m: f" {_ERAS[m[1]]}" + _gap(m), words=("E.", "G.")),
            Substitution("letter-names", _LETTER_NAMES_SLASH, lambda _m: "ኤች አይ ቪ ", words=("ቪ/ኤድስ",)),
            Substitution(
                "abbreviation", _SPACED, _read_spaced, needs="./", words=(". ", "/ ", " .", " /"), guard=_GAP
            ),
            Substitution("abbreviation", _JOINED, _read_joined, needs="/."),
            literal("repeated", "ልደት በፊት በፊት", "ልደት በፊት", words=("ልደት በፊት በፊት",)),
            Substitution(UNKNOWN, _UNRESOLVED, _unresolved, needs="./"),
            Substitution("dotted-word", _SINGLE, _read_single, needs="."),
            Substitution(
                "era",
                _WHOLE,
                _read_era,
                words=("ዓም", "ዓ ም", "አ ም"),
            ),
            Substitution("calendar", _CALENDAR, _read_calendar, words=("እኤአ", "እአአ")),
        ),
        frozenset("./"),
        _UNDOTTED,
        takes=frozenset(),
        look=_dots_and_slashes,
    )
