"""The 33 x 7 table of letters that Amharic is taught with, and which of them are read alike."""

from __future__ import annotations

from functools import cache

_ROWS = "ሀለሐመሠረሰሸቀበተቸኀነኘአከኸወዐዘዠየደጀገጠጨጰጸፀፈፐ"


_SAME_ROW = {"ሐ": "ሀ", "ኀ": "ሀ", "ኸ": "ሀ", "ሠ": "ሰ", "ዐ": "አ", "ፀ": "ጸ"}


@cache
def fidel_table() -> tuple[str, ...]:
    """The 33 rows of seven orders that Amharic is taught with."""
    return tuple(chr(ord(first) + order) for first in _ROWS for order in range(7))


@cache
def homophone(letter: str) -> str:
    """The letter of the table that Amharic reads alike and writes by default, mostly the letter itself."""
    order = (ord(letter) - 0x1200) % 8
    first = chr(ord(letter) - order)
    if letter == "ኸ":
        return letter
    row = _SAME_ROW.get(first, first)
    return row if row in "ሀአ" and order == 3 else chr(ord(row) + order)
