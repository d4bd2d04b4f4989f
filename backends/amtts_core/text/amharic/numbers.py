"""Amharic cardinals, decimals and digit strings as words (reference 1.5). Knows words, no surrounding text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Literal

from amtts_core.text import tables

ExplicitOne = Literal["auto", "always", "never"]
LARGEST = 10**15 - 1
"""Beyond this the scale words run out and a number is read digit by digit."""


def words() -> Mapping[str, Any]:
    """The table of number words."""
    table: Mapping[str, Any] = tables.document("amtts_core.text.amharic", "numbers.json")
    return table


@cache
def unit_words() -> tuple[str, ...]:
    """The words for 0 to 9."""
    return tuple(words()["units"])


def _below_hundred(number: int) -> list[str]:
    table = words()
    if number < 10:
        return [table["units"][number]]
    if number == 10:
        return [table["ten"]]
    if number < 20:
        return [table["teen"], table["units"][number - 10]]
    tens, unit = divmod(number, 10)
    return [table["tens"][str(tens * 10)], *([table["units"][unit]] if unit else [])]


def _below_thousand(number: int, *, one: bool) -> list[str]:
    """Args: one: whether a single hundred is `አንድ መቶ` or bare `መቶ`."""
    hundreds, rest = divmod(number, 100)
    spoken: list[str] = []
    if hundreds:
        spoken += ([words()["units"][hundreds]] if hundreds > 1 or one else []) + [words()["hundred"]]
    return spoken + (_below_hundred(rest) if rest else [])


@lru_cache(maxsize=4096)
def cardinal(number: int, explicit_one: ExplicitOne = "auto") -> str:
    """The cardinal from high to low without "and": 365 is `ሦስት መቶ ስልሳ አምስት`.

    `auto` says `አንድ` before a hundred, thousand or million, except where the number or the multiplier is exactly 100
    (`መቶ`, `መቶ ሺህ`); `always` and `never` do what they say.
    """
    if number == 0:
        return unit_words()[0]
    if number < 0 or number > LARGEST:
        raise ValueError(f"{number} is outside 0 to {LARGEST}")
    spoken: list[str] = []
    rest = number
    for value, scale in words()["scales"]:
        count, rest = divmod(rest, value)
        if count == 1 and explicit_one == "never":
            spoken.append(scale)
        elif count:
            spoken += [*_below_thousand(count, one=_says_one(count, explicit_one)), scale]
    if rest:
        spoken += _below_thousand(
            rest, one=_says_one(rest, explicit_one) or (explicit_one == "auto" and bool(spoken))
        )
    return " ".join(spoken)


def _says_one(number: int, explicit_one: ExplicitOne) -> bool:
    return explicit_one == "always" or (explicit_one == "auto" and number != 100)


def hundreds_year(year: int) -> str:
    """A year by hundreds: 1984 is `አስራ ዘጠኝ መቶ ሰማንያ አራት`; other numbers as cardinals."""
    hundreds, rest = divmod(year, 100)
    if not 11 <= hundreds <= 19:
        return cardinal(year)
    return " ".join([*_below_hundred(hundreds), words()["hundred"], *(_below_hundred(rest) if rest else [])])


def digit_words(text: str) -> str:
    """Every ASCII digit of a text by its name."""
    return " ".join(unit_words()[int(character)] for character in text if character in "0123456789")
