"""Phone, fax, account and plate numbers, digit by digit (reference 1.5)."""

from __future__ import annotations

import re

from amtts_core.text.amharic.affixes import following_space, joint
from amtts_core.text.amharic.numbers import digit_words, words
from amtts_core.text.amharic.numerals import follows_word
from amtts_core.text.amharic.numeric_features import LATIN_AFTER, LEADING_ZERO
from amtts_core.text.rules import Rule, Substitution, literal

_END = r"(?![0-9:/]|[.,-][0-9])"
_ETHIOPIAN = r"251[ -]?(?:\(0\))?(?:[ -]?[0-9]){9}"
_FOREIGN = r"[0-9]{7,15}|[0-9]{1,3}(?:[ -]\(?[0-9]{1,7}\)?){1,5}"
_ABROAD = re.compile(rf"(?<![0-9.,:/])(?:\+|00(?=251))\s?(?P<digits>{_ETHIOPIAN}|{_FOREIGN}){_END}")
_WITHOUT_PLUS = re.compile(rf"(?<![0-9.,:/])(?P<digits>251[ -][1-9][0-9]{{0,2}}(?:[ -]?[0-9]){{6,8}}){_END}")
_HOME = re.compile(rf"(?<![0-9.,:/])\(?(?P<digits>0[1-9][0-9]{{0,2}}\)?(?:[ -]?[0-9]){{6,8}}){_END}")
_FOREIGN_HOME = re.compile(
    rf"(?<![0-9.,:/-])\(?(?P<digits>[2-9][0-9]{{2}}\)?[ -][0-9]{{3}}-[0-9]{{4}}){_END}"
)
_CALLED = ("ደው", "መደወ", "ይላኩ", "ላኩ", "መላክ", "ላክ", "ቴክስት", "ጽሑፍ", "ፅሁፍ", "ጽሁፍ", "መልዕክት", "መልእክት", "አጭር")
_AFTER_CODE = ("ን", *(f" {letter}" for letter in "ላደይበብአጽፅመለእ"))
_SHORT_CODE = re.compile(
    rf"(?<![0-9.,:/#*-])(?P<digits>[0-9]{{3,5}})(?![0-9]|[.,:/#*-][0-9])(?=ን?\s(?:ላይ\s|በነጻ\s|በነፃ\s|ብለው\s|ብቻ\s)?(?:ይ|በ|እንዲ|ለ)?(?:{'|'.join(_CALLED)}))"
)
_TEXTED = re.compile(r"(?:(?<=በ)|(?<=ወደ ))(?P<digits>[0-9]{4,5})(?= (?:SMS|sms|ኤስ ኤም ኤስ))")
_CODE_BEFORE = re.compile(
    r"(?<=አጭር ቁጥር )(?P<digits>[0-9]{3,5})(?![0-9])|(?<=አጭር የስልክ ቁጥር )(?P<other>[0-9]{3,5})(?![0-9])"
)
USSD = re.compile(
    r"(?P<code>[*#]{1,2}[0-9]{2,5}(?:[*#][0-9]{1,12}){0,8}#|\*[0-9]{2,5}(?:\*[0-9]{1,12}){0,8}\*(?![0-9*]))"
)
_USSD_SIGNS = {"*": "ኮከብ", "#": "መሰላል"}
_GROUPS = re.compile(r"(?P<digits>[0-9][0-9]{0,6}(?:[ .-][0-9]{1,7})+)(?![0-9:/%]|[.,-][0-9])")
_PLATE = re.compile(
    r"(?<![0-9.,:/-])(?P<digits>[0-9]{1,2}\s?-\s?(?:0[0-9]{2,5}|[0-9]{5}))(?![0-9:/-]|[.,][0-9])"
)
_BETWEEN = re.compile(r"(?<=[0-9]{2})(?<=[0-9 -]{7})\s?/\s?(?=\+?(?:0[1-9]|251)[0-9 -]{6})")
"""The slash between two phone numbers."""
_ETHIOPIAN_DIGITS = 12
_LONGEST, _SHORTEST_HOME, _SHORTEST_ABROAD = 15, 9, 7


def _say(match: re.Match[str], before: str = "") -> str:
    return joint(match.string, match.start()) + before + digit_words(match["digits"]) + following_space(match)


def _count(match: re.Match[str]) -> int:
    return sum(character.isdigit() for character in match["digits"])


def _read_abroad(match: re.Match[str]) -> str:
    fits = _SHORTEST_ABROAD <= _count(match) <= _LONGEST
    return _say(match, words()["plus"] + " " if match[0].startswith("+") else "") if fits else match[0]


def _read_ethiopian(match: re.Match[str]) -> str:
    return _say(match) if _count(match) == _ETHIOPIAN_DIGITS else match[0]


def _read_home(match: re.Match[str]) -> str:
    return _say(match) if _SHORTEST_HOME <= _count(match) <= _LONGEST else match[0]


def _read_groups(match: re.Match[str]) -> str:
    """`51.45.00` and `251-1-531818` where a word such as ስልክ or ፋክስ stands before them."""
    text, start = match.string, match.start()
    fits = 5 <= _count(match) <= _LONGEST and text[start - 1 : start] not in tuple("0123456789.,:/")
    return _say(match) if fits and follows_word(text, start, "phone_words", reach=3) else match[0]


def _say_code(match: re.Match[str]) -> str:
    digits = match["digits"] or match["other"]
    return joint(match.string, match.start()) + digit_words(digits) + following_space(match)


def _say_ussd(match: re.Match[str]) -> str:
    """`*804#` ኮከብ ስምንት ዜሮ አራት መሰላል."""
    signs = (_USSD_SIGNS.get(character) or digit_words(character) for character in match["code"])
    return joint(match.string, match.start()) + " ".join(signs) + following_space(match)


def ussd_rule() -> Rule:
    """Codes to be dialed; they must be read before `#` and `*` mean anything else."""
    return Substitution("ussd", USSD, _say_ussd, needs="#*")


def phone_rules() -> tuple[Rule, ...]:
    """`+251 911 234567`, `0911 23 45 67`, `(011) 551-7700`: every digit by its name, + as ፕላስ."""
    return (
        literal("phone", _BETWEEN.pattern, "፣ ", needs=("/0", "/")),
        Substitution("phone", _ABROAD, _read_abroad, needs=("+", LEADING_ZERO)),
        Substitution("phone", _WITHOUT_PLUS, _read_ethiopian, needs=(" 0", "-0"), words=("251 ", "251-")),
        Substitution("phone", _HOME, _read_home, needs=(LEADING_ZERO,)),
        Substitution("phone", _FOREIGN_HOME, _say, needs=("-0",)),
        Substitution("short-code", _SHORT_CODE, _say, needs=_AFTER_CODE, words=_CALLED),
        Substitution("short-code", _TEXTED, _say, needs=(LATIN_AFTER, " ኤ"), words=("SMS", "sms", "ኤስ ኤም")),
        Substitution("short-code", _CODE_BEFORE, _say_code, needs=("ር ",), words=("አጭር",)),
        Substitution("phone", _GROUPS, _read_groups, needs=(" 0", ".0", "-0")),
        Substitution("plate", _PLATE, _say, needs=("-0",)),
    )
