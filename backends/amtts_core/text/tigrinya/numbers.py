"""Tigrinya cardinals, ordinals and decimals as words. Knows words, no surrounding text.

Parts of a compound number are linked with -ን (`ሓደ ሚእትን ዕስራን ሸውዓተን`, 127); the rules follow F. Gaim, "Tigrinya Number
Verbalization: Rules, Algorithm, and Implementation" (arXiv 2601.03403).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from amtts_core.text import tables

LARGEST = 10**15 - 1
"""Beyond this the scale words run out and a number is read digit by digit."""
_LINK = "ን"


def words() -> Mapping[str, Any]:
    """The table of number words."""
    table: Mapping[str, Any] = tables.document("amtts_core.text.tigrinya", "numbers.json")
    return table


@lru_cache(maxsize=4096)
def cardinal(number: int) -> str:
    """The cardinal: a single part as it is (`ክልተ ሚእቲ`), several parts linked (`ክልተ ሚእትን ሓደን`).

    Raises:
        ValueError: the number is negative or larger than `LARGEST`.
    """
    if number < 0 or number > LARGEST:
        raise ValueError(f"{number} is outside 0 to {LARGEST}")
    if number == 0:
        return str(words()["units"][0])
    parts: list[str] = []
    rest = number
    for value, scale in words()["scales"]:
        count, rest = divmod(rest, value)
        if count:
            parts.append(f"{_joined(_below_thousand(count))} {scale}")
    return _joined([*parts, *_below_thousand(rest)])


def ordinal(number: int, *, feminine: bool = False) -> str:
    """`ቀዳማይ`, `ቀዳመይቲ`; from the eleventh on `መበል` and the cardinal."""
    table = words()
    if 0 < number <= 10:
        return str(table["feminine_ordinals" if feminine else "ordinals"][number])
    return f"{table['ordinal']} {cardinal(number)}"


def digit_words(text: str) -> str:
    """Every ASCII digit of a text by its name."""
    return " ".join(words()["units"][int(character)] for character in text if character in "0123456789")


def numeral(text: str) -> str:
    """A numeral with thousands commas and a decimal point; a leading zero or too many digits: digit by digit."""
    whole, _, decimals = text.replace(",", "").partition(".")
    if len(whole) > len(str(LARGEST)) or (len(whole) > 1 and whole[0] == "0"):
        spoken = digit_words(whole)
    else:
        spoken = cardinal(int(whole))
    return f"{spoken} {words()['point']} {digit_words(decimals)}" if decimals else spoken


def linked(first: str, second: str) -> str:
    """Two amounts, each with the link (`ሓሙሽተ ናቕፋን ሓምሳ ሳንቲምን`)."""
    return f"{first}{_LINK} {second}{_LINK}"


def _below_thousand(number: int) -> list[str]:
    """The parts of a number below 1,000, without links."""
    table = words()
    hundreds, rest = divmod(number, 100)
    parts = [f"{table['units'][hundreds]} {table['hundred']}"] if hundreds else []
    if rest > 20 and rest % 10:
        parts += [table["tens"][str(rest // 10 * 10)], table["units"][rest % 10]]
    elif rest >= 20:
        parts.append(table["tens"][str(rest)])
    elif rest > 10:
        parts.append(f"{table['units'][10]} {table['units'][rest - 10]}")
    elif rest:
        parts.append(table["units"][rest])
    return parts


def _joined(parts: list[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    table = words()
    whole, joined = table["hundred"], table["hundred_joined"]
    return " ".join(
        f"{part.removesuffix(whole) + joined if part.endswith(whole) else part}{_LINK}" for part in parts
    )
