"""Sums of money (reference 1.5): the currency's word follows the number and its scale word."""

from __future__ import annotations

import re

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import following_space, is_bound, joint
from amtts_core.text.amharic.numbers import words
from amtts_core.text.amharic.numerals import NUMERAL, Reader
from amtts_core.text.amharic.numeric_features import LATIN_BEFORE
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Rule, Substitution

_CENTS = re.compile(r"(?P<whole>[0-9][0-9,.]*)\.(?P<cents>[0-9]{2})")
MAGNITUDES = {
    "K": "ሺህ", "k": "ሺህ", "M": "ሚሊዮን", "m": "ሚሊዮን", "mn": "ሚሊዮን", "Mn": "ሚሊዮን", "B": "ቢሊዮን", "b": "ቢሊዮን",
    "bn": "ቢሊዮን", "Bn": "ቢሊዮን", "T": "ትሪሊዮን", "tn": "ትሪሊዮን", "ሚ": "ሚሊዮን", "ቢ": "ቢሊዮን", "million": "ሚሊዮን",
    "Million": "ሚሊዮን", "billion": "ቢሊዮን", "Billion": "ቢሊዮን", "trillion": "ትሪሊዮን", "thousand": "ሺህ",
}  # fmt: skip
"""Letters that stand for a scale word behind an amount of money."""
_NUMBER_BEFORE = re.compile(r"(?:[0-9]|መቶ|ሺህ|ሺ|ሚሊዮን|ቢሊዮን)\s*$")


def money_rules(reader: Reader) -> tuple[Rule, ...]:
    """`$5.50` አምስት ዶላር ከሃምሳ ሳንቲም, `ብር 2,500`, `12.50 ብር`, `$755 ሚሊዮን` … ሚሊዮን ዶላር."""
    currencies = {row[0]: (row[1], row[2]) for row in tables.rows("amtts_core.text.amharic", "money.tsv")}
    ethiopic = [sign for sign in currencies if "\u1200" <= sign[0] <= "\u135a"]
    other = sorted(set(currencies) - set(ethiopic), key=len, reverse=True)
    signs, names = "|".join(map(re.escape, other)), "|".join(ethiopic)
    scales = "|".join([*words()["scale_words"][1:], *MAGNITUDES])
    amount = rf"(?P<amount>{NUMERAL})(?:\s?(?P<scale>{scales})(?![{LETTER}A-Za-z]))?"

    def read(match: re.Match[str]) -> str:
        unit, cent = currencies[match["sign"]]
        unit = (match.groupdict().get("of") or "") + unit
        number, scale = match["amount"], match["scale"]
        scale = MAGNITUDES.get(scale, scale)
        parts = None if scale else _CENTS.fullmatch(number)
        if parts is None:
            whole = reader.numeral(number, f"{number} {scale or ''}", 0, len(number))
            said = f"{whole} {scale} {unit}" if scale else f"{whole} {unit}"
        else:
            said = _with_cents(reader, parts, unit, cent)
        gap = "" if said.endswith(match[0][-1:]) else following_space(match)
        return joint(match.string, match.start()) + said + gap

    def name_first(match: re.Match[str]) -> str:
        text, start = match.string, match.start()
        inside_a_word = text[:start][-1:].isalnum() and not is_bound(text, start)
        return match[0] if inside_a_word or _NUMBER_BEFORE.search(text, 0, start) else read(match)

    number = rf"(?<![0-9.,]){amount}\s?"
    before = {f"{name[-1]} " for name in ethiopic} | set(":፦")
    symbols = {sign for sign in other if not sign.isascii() or sign == "$"}
    patterns = (
        (
            rf"(?<![A-Za-z])(?P<sign>{signs})(?:(?<=[A-Za-z])\.)?\s?{amount}(?![0-9])"
            rf"(?:\s?(?:የአሜሪካ )?(?:{names})(?=[{LETTER}]?(?![{LETTER}])))?",
            read,
            {*symbols, LATIN_BEFORE},
            tuple(other),
        ),
        (
            rf"{number}(?P<sign>{signs})(?![A-Za-z0-9])",
            read,
            {*symbols, *(f"@{sign[0].lower()}" for sign in other if sign[0].isalpha())},
            (),
        ),
        (rf"{number}(?P<sign>{names})(?![{LETTER}])", read, (".0",), ()),
        (rf"(?P<of>የአሜሪካ )?(?P<sign>{names})\s(?:[:፦]\s?)?{amount}(?![0-9])", name_first, before, ()),
    )
    return tuple(
        Substitution("money", re.compile(pattern), replace, needs, words)
        for pattern, replace, needs, words in patterns
    )


def money_range_rule() -> Substitution:
    """`$10-20 ሚሊዮን`: the sign goes behind the second number, where the rule for ranges leaves it."""
    scales = "|".join(words()["scale_words"][1:])
    pattern = rf"(?P<sign>[$€£])\s?(?P<first>{NUMERAL})\s?-\s?[$€£]?(?P<second>{NUMERAL})(?P<scale>\s?(?:{scales}))?"

    def swap(match: re.Match[str]) -> str:
        unit = tables.pairs("amtts_core.text.amharic", "money.tsv")[match["sign"]]
        return f"{match['first']}-{match['second']}{match['scale'] or ''} {unit}" + following_space(match)

    return Substitution("money", re.compile(pattern), swap, needs="$€£")


def _with_cents(reader: Reader, parts: re.Match[str], unit: str, cent: str) -> str:
    whole, cents = parts["whole"], int(parts["cents"])
    number = reader.numeral(whole)
    if not cents:
        return f"{number} {unit}"
    small = f"{reader.cardinal(str(cents))} {cent}"
    return small if whole.strip("0") == "" else f"{number} {unit} {words()['from']}{small}"
