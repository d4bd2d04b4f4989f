"""What a text shows around its digits, found in one quick look, so that most rules for numbers need not run.

A feature is a sign that stands in the text (`%`, `$`), or one of:

- `.` `,` `:` `-` `/` `፣` beside a digit, with a space between them or not; with a 0 where a digit follows it (`.0`);
- ` 0`: two numbers with a space between them;
- an Ethiopic letter behind a digit, with the space between them where there is one (` ለ`), or before the space in front
  of one (`ር `);
- a Latin letter behind a digit, in lower case behind an @ (`@k`), and the names below.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

LEADING_ZERO, FOUR_DIGITS, LATIN_AFTER, LATIN_BEFORE = (
    "leading zero",
    "four digits",
    "Latin after",
    "Latin before",
)
"""A number that begins with 0; one of four digits; a Latin letter behind a number, or before one."""
LIST = "፣0"
VULGAR = "½¼¾⅓⅔⅕⅛⅜"
_RUN = re.compile("[0-9]+")
_DELICATE = frozenset(".,:/-፣")
"""Signs that say something only beside a digit."""
_DIGITS = frozenset("0123456789")


def numeric_features(text: str, signs: AbstractSet[str]) -> AbstractSet[str]:
    """The features of one text.

    Args:
        text: with digits in it.
        signs: its `special_signs`.
    """
    features = set(signs - _DELICATE)
    for match in _RUN.finditer(text):
        start, end = match.span()
        if end - start == 4:
            features.add(FOUR_DIGITS)
        if text[start] == "0" and end - start > 1:
            features.add(LEADING_ZERO)
        if start:
            _look_before(text, start, features)
        _look_after(text, end, features)
    return features


def _look_before(text: str, start: int, features: set[str]) -> None:
    before, gap = text[start - 1], ""
    if before == " " and start > 1:
        before, gap = text[start - 2], " "
    if before in _DELICATE:
        place = start - 2 - len(gap)
        sign, before = before, text[place] if place >= 0 else " "
        if before not in _DIGITS:
            features.add(sign)
    if before <= "z":
        if before >= "A":
            features.add(LATIN_BEFORE)
    elif gap:
        features.add(before + gap)


def _look_after(text: str, end: int, features: set[str]) -> None:
    place, gap = end, ""
    if text[place : place + 1] == " ":
        place, gap = end + 1, " "
    after = text[place : place + 1]
    if "\u1200" <= after <= "\u135a":
        features.add(gap + after)
    elif after in _DIGITS:
        features.add(" 0")
    elif after in _DELICATE:
        features.add(after)
        following = text[place + 1 : place + 3].lstrip(" ")[:1]
        if following in _DIGITS:
            features.add(after + "0")
    elif "A" <= after <= "z":
        features.add(LATIN_AFTER)
        features.add("@" + after.lower())
    else:
        features.add(after)
