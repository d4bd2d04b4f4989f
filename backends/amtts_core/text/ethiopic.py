"""Arithmetic of the Ethiopic script: a letter is a consonant row and one of eight orders. Knows no language."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

FIRST, LAST = 0x1200, 0x135A
LETTER = "\u1200-\u135a"
"""The letters, for use inside a regular expression's brackets."""
_ROWS_END = 0x1357  # U+1358-135A are three stray letters that belong to no row


@cache
def letters() -> tuple[str, ...]:
    """Every assigned letter of U+1200-135A."""
    return tuple(chr(code) for code in range(FIRST, LAST + 1) if unicodedata.category(chr(code)) == "Lo")


def is_letter(character: str) -> bool:
    """True for a single Ethiopic letter of the basic block."""
    return FIRST <= ord(character) <= LAST


@cache
def decompose(letter: str) -> tuple[str, int]:
    """Splits a letter into its row, named by the row's sixth order letter, and its order.

    `decompose("ሩ") == ("ር", 2)`. Order 8 is the rounded form (`ሯ`). The rows of the rounded consonants stand for
    themselves: `decompose("ቋ") == ("ቍ", 4)`.

    Raises:
        ValueError: not a letter of a row.
    """
    code = ord(letter)
    if not FIRST <= code <= _ROWS_END or unicodedata.category(letter) != "Lo":
        raise ValueError(f"{letter!r} is not an Ethiopic letter of a row")
    offset = (code - FIRST) % 8
    return chr(code - offset + 5), offset + 1


@cache
def compose(consonant: str, order: int) -> str:
    """The letter of a row (named by its sixth order letter) in one order, 1 to 8.

    Raises:
        ValueError: the row has no such order.
    """
    row, sixth = decompose(consonant)
    letter = chr(ord(row) - 5 + order - 1)
    if sixth != 6 or not 1 <= order <= 8 or unicodedata.category(letter) != "Lo":
        raise ValueError(f"the row of {consonant!r} has no order {order}")
    return letter


def to_order(letter: str, order: int) -> str:
    """The letter of the same row in another order; the letter itself where the row lacks that order."""
    try:
        return compose(decompose(letter)[0], order)
    except ValueError:
        return letter


def same_row(first: str, second: str) -> bool:
    """True where two letters share their consonant."""
    return is_letter(first) and is_letter(second) and (ord(first) - FIRST) // 8 == (ord(second) - FIRST) // 8


def order_of(letter: str) -> int:
    """The order of a letter, 1 to 8; 0 for anything else."""
    return (ord(letter) - FIRST) % 8 + 1 if FIRST <= ord(letter) <= _ROWS_END else 0


def numeral_value(numeral: str) -> int:
    """The value of a numeral written in Ethiopic numbers: additive, ፻ times 100, ፼ times 10,000, leading 1 omitted.

    Typed without ፻ and ፼ like a decimal number (`፲፱፹፪`, `፩፱፰፪` for 1982), each ten and unit is a place of its own.
    """
    if not _HUNDREDS.intersection(numeral) and len(groups := _GROUP.findall(numeral)) > 1:
        width = 1 if max(map(len, groups)) == 1 and numeral[0] <= "፱" else 2
        return int("".join(f"{_additive(group):0{width}}" for group in groups))
    total = group = pending = 0
    for sign in numeral:
        code = ord(sign)
        if code <= 0x137A:
            pending += _additive(sign)
        elif code == 0x137B:
            group += (pending or 1) * 100
            pending = 0
        else:
            total = (total + group + pending or 1) * 10_000
            group = pending = 0
    return total + group + pending


_HUNDREDS = frozenset("፻፼")
_GROUP = re.compile("[፲-፺][፩-፱]?|[፩-፱]")


def _additive(signs: str) -> int:
    """The sum of tens and units."""
    return sum(ord(s) - 0x1368 if ord(s) <= 0x1371 else (ord(s) - 0x1371) * 10 for s in signs)
