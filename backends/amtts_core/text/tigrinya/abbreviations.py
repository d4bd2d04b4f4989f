"""Tigrinya abbreviations: a list of forms with dots or slashes; forms that it does not know are counted as guesses."""

from __future__ import annotations

import re
from functools import cache

from amtts_core.text import tables
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Stage, Substitution

_FORM = re.compile(
    rf"(?<![{LETTER}./])[{LETTER}]{{1,4}}(?:(?:[./]|\. )[{LETTER}]{{1,8}}){{1,5}}(?:\.(?!\.))?(?![{LETTER}])"
)
_PREFIXES = ("", "ብ", "ን", "ናይ", "ካብ", "ኣብ", "እ", "ዝ")
_MOST_JOINED = 2


@cache
def _listed() -> dict[str, str]:
    return {_key(row[0]): row[1] for row in tables.rows("amtts_core.text.tigrinya", "abbreviations.tsv")}


def _key(form: str) -> str:
    return ".".join(part for part in re.split(r"[./\s]+", form) if part)


def _look_up(form: str) -> str | None:
    """The reading of a form, with one of the bound prefixes before it or none."""
    key = _key(form)
    for prefix in _PREFIXES:
        if key.startswith(prefix) and (found := _listed().get(key[len(prefix) :])):
            return prefix + found
    return None


def is_abbreviation(word: str) -> bool:
    """True for a dotted form whose last dot does not end the sentence."""
    return "." in word.strip(".") or _look_up(word) is not None


def _read(match: re.Match[str]) -> str:
    found = _look_up(match[0])
    if found is None:
        return match[0]
    following = match.string[match.end() : match.end() + 1]
    return found + (" " if following.isalnum() else "")


def _unknown(match: re.Match[str]) -> str:
    """Three short parts and more are an acronym that is read as a word; two words with a slash stay for the pause."""
    parts = re.split(r"[./]", match[0].rstrip("."))
    if any(part.startswith(" ") for part in parts) or min(map(len, parts)) > 1:
        return match[0]
    if len(parts) > _MOST_JOINED and max(map(len, parts)) < 3:
        return "".join(parts)
    return " ".join(parts)


def abbreviations_stage() -> Stage:
    """Listed forms, then the rest."""
    return Stage(
        "abbreviations",
        (
            Substitution("abbreviation", _FORM, _read),
            Substitution("unknown-abbreviation", _FORM, _unknown),
        ),
        frozenset("./"),
    )
