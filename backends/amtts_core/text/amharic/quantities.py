"""Ranges, scores and fractions (reference 1.5): two numbers that belong together."""

from __future__ import annotations

import re

from amtts_core.text.amharic.affixes import following_space, is_bound, joint, ordinal
from amtts_core.text.amharic.dates import month_names
from amtts_core.text.amharic.numbers import words
from amtts_core.text.amharic.numerals import NUMERAL, Reader, follows_word
from amtts_core.text.amharic.numeric_features import VULGAR
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Rule, Substitution, literal

_SUFFIX = re.compile(f"[{LETTER}]{{0,3}}")
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅕": "1/5", "⅛": "1/8", "⅜": "3/8"}
_VS = re.compile(rf"(?<![0-9.,])([0-9]{{1,3}})\s?ለ\s?([0-9]{{1,3}})(?![0-9{LETTER}]|[.,][0-9])")
_COLON = re.compile(r"(?<![0-9.,:/])(?P<first>[0-9]{1,2}):(?P<second>[0-9])(?P<ordinal>ኛ)?(?![0-9:])")
_PAIR = re.compile(
    rf"(?<![0-9.,/-])(?P<first>{NUMERAL})\s?-\s?(?P<second>{NUMERAL})(?![0-9-])(?P<ordinal>ኛ)?"
)
_FRACTION = re.compile(
    r"(?<![0-9.,/])(?:(?P<whole>[0-9]{1,3}) )?(?P<top>[0-9]{1,3})\s?/\s?(?P<bottom>[0-9]{1,3}|1000)(?P<ordinal>ኛ)?"
    r"(?![0-9/])"
)
_USUAL_PARTS = frozenset({12, 15, 16, 20, 25, 30, 40, 50, 100})
_AFTER_UNIT = re.compile(
    rf"(?P<number>{NUMERAL})(?P<unit>\s?(?:ሺህ|ሺ|ሚሊዮን|ቢሊዮን|በመቶ|ከመቶ|ፐርሰንት|ኛው|ኛ))\s?-\s?(?=[0-9])"
)
_MODEL = re.compile(r"(?:[A-Z][A-Za-z]*|ቦይንግ|ኤርባስ|ቦምባርዲየር|ድሪምላይነር|ሚግ|ኤፍ|ሱ) ?$")
"""The name of a type (`Boeing 737-800`), after which two numbers are no range."""
LONGEST_NOUN = 12
_OVER = re.compile(r"(?<=[0-9])\s?/\s?(?=[0-9])")


def fraction_rules(reader: Reader) -> tuple[Rule, ...]:
    """`1/2` ግማሽ, `1/4` ሩብ, `2/3` ሁለት ሦስተኛ, `2 1/2` ሁለት ተኩል; a slash that makes no fraction is a space."""

    def read(match: re.Match[str]) -> str:
        top, bottom = int(match["top"]), int(match["bottom"])
        usual = (
            0 < top < bottom
            and (bottom <= 10 or bottom in _USUAL_PARTS or (bottom == 1000 and top < 100))
            and match["bottom"][0] != "0"
        )
        if not usual or follows_word(match.string, match.start(), "reference_words"):
            return match[0]
        part = _fraction(reader, top, bottom)
        if match["whole"] is not None:
            tail = words()["and_half"] if (top, bottom) == (1, 2) else words()["from"] + part
            part = f"{reader.cardinal(match['whole'])} {tail}"
        return (
            joint(match.string, match.start())
            + part
            + ("" if match["ordinal"] else following_fraction(match))
        )

    return (
        Substitution(
            "fraction-sign",
            re.compile(f"[{''.join(_VULGAR)}]"),
            lambda m: (" " if m.string[max(0, m.start() - 1) : m.start()].isdigit() else "") + _VULGAR[m[0]],
            needs=VULGAR,
        ),
        Substitution("fraction", _FRACTION, read, needs=("/0", *VULGAR)),
        literal("number-slash", _OVER.pattern, "፣ ", needs=("/0",)),
    )


def following_fraction(match: re.Match[str]) -> str:
    """One-letter suffixes bind to a fraction; longer ones are words."""
    run = _SUFFIX.match(match.string, match.end())
    assert run is not None
    return " " if len(run[0]) > 2 else following_space(match) if not run[0] else ""


def _fraction(reader: Reader, top: int, bottom: int) -> str:
    if top == 1 and bottom in (2, 4):
        return str(words()["half" if bottom == 2 else "quarter"])
    return f"{reader.cardinal(str(top))} {ordinal(reader.cardinal(str(bottom)))}"


def range_rules(reader: Reader) -> tuple[Rule, ...]:
    """`2-1` and `1ለ0` are scores; `10-20` is a range, ከ said once."""
    nouns = "|".join([month_names(), *words()["numbered_nouns"]])
    opening = re.compile(f"(?<![{LETTER}]){words()['from']}(?:{nouns})? $")

    def opened(match: re.Match[str]) -> bool:
        text, start = match.string, match.start()
        return is_bound(text, start) or opening.search(text, max(0, start - LONGEST_NOUN), start) is not None

    def after_unit(match: re.Match[str]) -> str:
        start = joint(match.string, match.start()) + ("" if opened(match) else words()["from"])
        return f"{start}{match['number']}{match['unit']} {words()['to']} "

    def versus(match: re.Match[str]) -> str:
        first, second = reader.cardinal(match[1]), reader.cardinal(match[2])
        spoken = f"{first} {words()['versus']}{second}"
        return joint(match.string, match.start()) + spoken + following_space(match)

    def pair(match: re.Match[str]) -> str:
        text = match.string
        if match["second"][0] == "0" and len(match["second"]) > 1:
            return match[0].replace("-", " ")
        first = reader.numeral(match["first"], text, match.start(), match.end("first"))
        second = reader.numeral(match["second"], text, match.start("second"), match.end("second"))
        if match["ordinal"]:
            first, second = ordinal(first), ordinal(second)
        before = joint(text, match.start())
        if _is_score(match):
            return f"{before}{first} {words()['versus']}{second}" + following_space(match)
        if " " not in match[0] and _MODEL.search(text, max(0, match.start() - LONGEST_NOUN), match.start()):
            return match[0].replace("-", " ")
        start = "" if opened(match) else words()["from"]
        return f"{before}{start}{first} {words()['to']} {second}" + following_space(match)

    def by_colon(match: re.Match[str]) -> str:
        joiner = words()["versus"] if _is_score(match) else ""
        first, second = reader.cardinal(match["first"]), reader.cardinal(match["second"])
        return joint(match.string, match.start()) + f"{first} {joiner}{second}" + following_space(match)

    return (
        Substitution("score", _VS, versus, needs=("ለ", " ለ")),
        Substitution("score", _COLON, by_colon, needs=(":0",)),
        Substitution("range", _AFTER_UNIT, after_unit, needs="-"),
        Substitution("range", _PAIR, pair, needs=("-0", *"$€£")),
    )


def _is_score(match: re.Match[str]) -> bool:
    """Small numbers that fall or stand level, or that rise beside words of sport and before nothing that is counted."""
    first, second = match["first"], match["second"]
    if len(first) > 2 or len(second) > 2 or match["ordinal"]:
        return False
    if int(first) >= int(second) or int(first) == 0:
        return True
    text, start, end = match.string, match.start(), match.end()
    if int(second) >= 20 or is_bound(text, start):
        return False
    after = [word.strip(_MARKS) for word in text[end : end + 40].split()]
    before = [word.strip(_MARKS) for word in text[max(0, start - 40) : start].split()]
    if after and _is_counted(after[0]) or (before and before[-1] in words()["numbered_nouns"]):
        return False
    if any(_is_sport(word) for word in (*before, *after)):
        return True
    return len(before) >= 2 and before[-2] == words()["from"]


_MARKS = "።፣፤፦.,:()«»\"'!?"


def _is_counted(word: str) -> bool:
    """True for what is counted or measured: `1-2 ሰዓት`, `3-5 ሰዎች`."""
    return word.startswith(tuple(words()["counted"])) or word.endswith(("ዎች", "ሶች", "ቶች", "ሮች", "ኖች"))


def _is_sport(word: str) -> bool:
    table = words()["score_words"]
    return word in table or word[1:] in table or word[:-1] in table
