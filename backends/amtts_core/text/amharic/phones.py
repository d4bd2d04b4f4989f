"""Phone numbers, digit by digit (reference 1.5)."""

from __future__ import annotations

import re

from amtts_core.text.amharic.affixes import joint
from amtts_core.text.amharic.numbers import digit_words, words
from amtts_core.text.rules import Substitution

_PHONE = re.compile(
    rf"(?<![0-9.,:/])(?:(?P<plus>\+|00(?=2519|251 ))\s?(?P<abroad>[0-9]{{1,3}}(?:[ -]?\(?[0-9]{{1,7}}\)?){{1,6}})"
    r"|\(?(?P<home>0[1-9][0-9]{0,2}\)?(?:[ -]?[0-9]{2,7}){1,5}))(?![0-9:/]|[.,][0-9])"
)


def _read(match: re.Match[str]) -> str:
    digits = re.sub(r"[^0-9]", "", match["abroad"] or match["home"])
    if not (7 if match["plus"] else 9) <= len(digits) <= 15:
        return match[0]
    plus = words()["plus"] + " " if match["plus"] else ""
    return joint(match.string, match.start()) + plus + digit_words(digits) + following_space(match)


def following_space(match: re.Match[str]) -> str:
    """A space where a letter or digit follows a match without one."""
    following = match.string[match.end() : match.end() + 1]
    return " " if following.isalnum() else ""


def phone_rule() -> Substitution:
    """`+251 911 234567`, `0911 23 45 67`, `(011) 551-7700`: every digit by its name, + as ፕላስ."""
    return Substitution("phone", _PHONE, _read, needs="+0")
