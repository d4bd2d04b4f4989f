"""Written numerals: their patterns, and how one is read (thousands mark or decimal point, digits or cardinal)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from amtts_core.text.amharic.affixes import letters_before
from amtts_core.text.amharic.numbers import LARGEST, ExplicitOne, cardinal, digit_words, hundreds_year, words
from amtts_core.text.settings import NormalizerSettings

NUMERAL = r"[0-9](?:[0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]*(?:\.[0-9]+)*)"
"""Digits with thousands commas, with dots, or plain; it begins with a class of characters, which `re` finds quickly."""
_THOUSANDS_DOTS = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[1-9][0-9]{3}\.000")
_ROUND = re.compile(r"[1-9][0-9]*000")
_MOBILE = re.compile(r"2519[0-9]{8}|2517[0-9]{8}")
_COUNTED = re.compile(r"\s?(?:ብር|ዶላር|ሺ|ሚሊዮን|ቢሊዮን|በመቶ|ሰዎች|ጊዜ|ቀን|ዓመት)")
_DECIMAL_AFTER = re.compile(r"\s*(?:%|‰|በመቶ|ከመቶ|ፐርሰንት|ሚሊዮን|ሚልዮን|ቢሊዮን|ቢልዮን|ትሪሊዮን|ሚሊያርድ)")


@dataclass(frozen=True)
class Reader:
    """Reads numerals by the settings of one normalizer."""

    settings: NormalizerSettings

    def cardinal(self, digits: str) -> str:
        """Plain digits as a cardinal; digit by digit where they are too long or start with zero."""
        return _spoken(digits, self.settings.explicit_one)

    def year(self, digits: str) -> str:
        """A year in the chosen style."""
        if self.settings.year_style == "hundreds" and len(digits) == 4:
            return hundreds_year(int(digits))
        return self.cardinal(digits)

    def numeral(self, numeral: str, text: str = "", start: int = 0, end: int = 0) -> str:
        """Any numeral; `text[start:end]` is where it stands, which settles what its dots mean."""
        numeral = numeral.replace(",", "")
        if "." not in numeral:
            if self._by_digits(numeral, text, start, end):
                return digit_words(numeral)
            return self.year(numeral) if self._is_year(numeral, text, start, end) else self.cardinal(numeral)
        if _THOUSANDS_DOTS.fullmatch(numeral) and not _DECIMAL_AFTER.match(text, end):
            return self.cardinal(numeral.replace(".", ""))
        whole, *parts = numeral.split(".")
        point = words()["point"]
        return f" {point} ".join([self._whole(whole), *(self._decimals(part, len(parts)) for part in parts)])

    def _whole(self, digits: str) -> str:
        return self.cardinal(digits.lstrip("0") or "0")

    def _decimals(self, digits: str, groups: int) -> str:
        if groups > 1 or (self.settings.decimals == "number" and len(digits) == 2 and digits[0] != "0"):
            return self.cardinal(digits)
        return digit_words(digits)

    def _by_digits(self, digits: str, text: str, start: int, end: int) -> bool:
        """Phone, account and box numbers: after such a word, or long and not round, unless nothing else is there."""
        length = len(digits)
        if length == 12 and _MOBILE.fullmatch(digits):
            return True
        if length >= 3 and _after_phone_word(text, start) and not _COUNTED.match(text, end):
            return True
        if length < self.settings.digits_from or _ROUND.fullmatch(digits):
            return False
        alone = not (text[:start].strip() or text[end:].strip())
        return not alone

    def _is_year(self, digits: str, text: str, start: int, end: int) -> bool:
        if self.settings.year_style == "cardinal" or len(digits) != 4 or not 1100 <= int(digits) <= 1999:
            return False
        return text.startswith(("ዓመተ", "ዓ"), end + 1) or letters_before(text, start) in ("በ", "ከ", "እስከ", "የ")


@lru_cache(maxsize=8192)
def _spoken(digits: str, explicit_one: ExplicitOne) -> str:
    digits = digits.replace(",", "")
    if len(digits) > len(str(LARGEST)) or (digits[0] == "0" and len(digits) > 1):
        return digit_words(digits)
    return cardinal(int(digits), explicit_one)


@cache
def _phone_word() -> re.Pattern[str]:
    return re.compile("|".join(words()["phone_words"]))


def _after_phone_word(text: str, start: int) -> bool:
    """True where one of the three words before a number calls for its digits one by one."""
    return _phone_word().search(text, max(0, start - 40), start) is not None and follows_word(
        text, start, "phone_words", reach=3
    )


def follows_word(text: str, position: int, table: str, *, reach: int = 2) -> bool:
    """True where one of the `reach` words before a position is in a word list of the number table."""
    listed = words()[table]
    before = [word.strip(":፦፣.()") for word in text[max(0, position - 40) : position].split()[-reach:]]
    return any(word in listed or word[1:] in listed for word in before)
