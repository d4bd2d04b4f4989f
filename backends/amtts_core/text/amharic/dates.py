"""Numeric dates (reference 1.6): `27/4/93` is day, month, year of the Ethiopian calendar unless marked otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import following_space, is_bound, joint
from amtts_core.text.amharic.ethiopian_calendar import days_in_month
from amtts_core.text.amharic.letters import any_spelling
from amtts_core.text.amharic.numbers import words
from amtts_core.text.amharic.numerals import Reader, follows_word
from amtts_core.text.amharic.numeric_features import LEADING_ZERO
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Rule, Substitution

_DAY_FIRST = re.compile(
    r"(?<![0-9.,:/-])([0-9]{1,2})\s?([/.-])\s?([0-9]{1,2})\s?\2\s?([0-9]{4}|[0-9]{2})(?![0-9:/]|[.,-][0-9])"
)
_DATE_RANGE = re.compile(
    r"(?<![0-9.,:/-])(?P<first>[0-9]{1,2}([/.])[0-9]{1,2}\2[0-9]{2,4})\s?-\s?(?P<last>[0-9]{1,2}\2[0-9]{1,2}\2[0-9]{2,4})"
    r"(?![0-9:/]|[.,-][0-9])"
)
_YEAR_FIRST = re.compile(
    r"(?<![0-9.,:/-])([12][0-9]{3})([/-])([0-9]{1,2})\2([0-9]{1,2})(?![0-9:/]|[.,-][0-9])"
)
_DAY_YEAR = re.compile("[0-9] [12][0-9]{3}(?![0-9])")
_ZERO_DAY = re.compile("0[1-9](?![0-9])")
_TWO_MARKS = re.compile(r"[0-9]\s?[/.-]\s?[0-9]{1,2}\s?[/.-]\s?[0-9]")
_CLAUSE_END = re.compile("[።፣፤?!0-9]")


def calendar_table() -> Mapping[str, Any]:
    """Names of months and days, and the words that mark a calendar."""
    table: Mapping[str, Any] = tables.document("amtts_core.text.amharic", "calendar.json")
    return table


def month_names() -> str:
    """Every spelling of a month's name, as alternatives of a pattern."""
    table = calendar_table()
    names = [*table["ethiopian"], *table["spellings"], *table["gregorian"]]
    return "|".join(dict.fromkeys(map(any_spelling, names)))


def date_rules(reader: Reader) -> tuple[Rule, ...]:
    """`27/4/93` ታኅሣሥ ሃያ ሰባት ቀን ዘጠና ሦስት. After `አንቀጽ`, `አዋጅ`, `ቁጥር` the same shape is a reference, not a date.

    The day is first; `07/13/2021`, which has no such month, is read month first.
    """

    def read(match: re.Match[str], day: str, month: str, year: str) -> str:
        if follows_word(match.string, match.start(), "reference_words"):
            return match[0]
        table = calendar_table()
        name = _month(match, int(day), int(month), int(year), reader.settings.ethiopian_year_limit)
        if name is None and len(year) == 4 and 12 < int(month) <= 31 and 1 <= int(day) <= 12:
            name, day = table["gregorian"][int(day) - 1], month
        if name is None:
            return match[0]
        spoken = f"{name} {reader.cardinal(str(int(day)))} {table['day']} {reader.year(year)}"
        return joint(match.string, match.start()) + spoken + following_space(match)

    def between(match: re.Match[str]) -> str:
        start = "" if is_bound(match.string, match.start()) else words()["from"]
        return f"{start}{match['first']} {words()['to']} {match['last']}"

    def after_month(match: re.Match[str]) -> str:
        day = match["day"].lstrip("0") or "0"
        days = day if match["last"] is None else f"{day}-{match['last']}"
        return f"{match['month']} {days} {calendar_table()['day']} {match['year']}"

    def plain_day(match: re.Match[str]) -> str:
        return match["month"] + match["gap"] + match["day"]

    month = rf"(?<![{LETTER}])(?P<month>(?:[የበለከ]|እስከ)?(?:{month_names()}))"
    days = r"(?P<day>[0-9]{1,2})(?:\s?-\s?(?P<last>[0-9]{1,2}))?"
    slashed = re.compile(
        rf"{month}\s?/?\s?{days}(?:\s?/\s?|-(?=[12][0-9]{{3}}))(?P<year>[0-9]{{4}}|[0-9]{{2}})(?![0-9/])"
    )
    spaced = re.compile(rf"{month}\s{days}\s(?P<year>[12][0-9]{{3}})(?![0-9/:.,%-])")
    leading = re.compile(rf"{month}(?P<gap>\s?)0(?P<day>[1-9])(?![0-9.,:])")
    return (
        Substitution(
            "number-pair",
            re.compile(r"(?<![0-9/])(?:9/11|24/7|50/50)(?![0-9/])"),
            lambda m: m[0].replace("/", " "),
            needs=("/0",),
        ),
        Substitution("date-range", _DATE_RANGE, between, needs=("-0",), guard=_TWO_MARKS),
        Substitution("date", slashed, after_month, needs=("/0", "-0")),
        Substitution("date", spaced, after_month, needs=(" 0",), guard=_DAY_YEAR),
        Substitution("date", leading, plain_day, needs=(LEADING_ZERO,), guard=_ZERO_DAY),
        Substitution(
            "date",
            _DAY_FIRST,
            lambda m: read(m, m[1], m[3], m[4]),
            needs=("/0", ".0", "-0"),
            guard=_TWO_MARKS,
        ),
        Substitution("date", _YEAR_FIRST, lambda m: read(m, m[4], m[3], m[1]), needs=("/0", "-0")),
    )


def _month(match: re.Match[str], day: int, month: int, year: int, limit: int) -> str | None:
    """The month's name in the calendar that the surroundings call for; None where it is no date."""
    table = calendar_table()
    before = _CLAUSE_END.split(match.string[max(0, match.start() - 30) : match.start()])[-1]
    after = _CLAUSE_END.split(match.string[match.end() : match.end() + 20])[0]
    if any(mark in before for mark in table["gregorian_marks"]):
        gregorian = True
    elif after.strip().startswith(tuple(table["ethiopian_marks"])):
        gregorian = False
    else:
        gregorian = year > limit or any(mark in after for mark in table["gregorian_marks"])
    if gregorian:
        return table["gregorian"][month - 1] if 1 <= month <= 12 and 1 <= day <= 31 else None
    if not 1 <= month <= 13 or not 1 <= day <= days_in_month(3, month):
        return None
    return str(table["ethiopian"][month - 1])
