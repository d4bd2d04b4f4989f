"""Numbers, dates, clock, money and percent in Tigrinya text, as words."""

from __future__ import annotations

import re

from amtts_core.text.ethiopic import LETTER, numeral_value
from amtts_core.text.rules import DIGIT, Rule, Stage, Substitution
from amtts_core.text.tigrinya.numbers import digit_words, linked, numeral, ordinal, words

_NUMERAL = r"[0-9](?:[0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]*(?:\.[0-9]+)?)"
_ETHIOPIC = re.compile("[፩-፼]{1,12}")
_DATE = re.compile(
    r"(?<![0-9./-])(?P<day>0?[1-9]|[12][0-9]|3[01])(?P<sign>[/.-])(?P<month>0?[1-9]|1[0-3])(?P=sign)"
    r"(?P<year>[12][0-9]{3}|[0-9]{2})(?![0-9]|[/.-][0-9])"
)
_CLOCK = re.compile(
    r"(?<![0-9:.፡])(?P<hour>[01]?[0-9]|2[0-4])(?P<sign>[:፡.])(?P<minute>[0-5][0-9])(?![0-9]|[:፡.][0-9])"
)
_HOUR_BEFORE = re.compile(r"ሰዓት\s?(?:ካብ\s)?$")
_CHAPTER_BEFORE = re.compile(r"(?:ምዕራፍ|ምዕ\.?|መዝሙር|ወንጌል)\s$")
_BOUND_BEFORE = re.compile(r"(?:ካብ|ኣብ|ብ|ናይ|ን|ድሕሪ|ቅድሚ)\s?$")
_PERCENT = re.compile(rf"(?P<number>{_NUMERAL})\s?[%٪％]")
_RANGE = re.compile(rf"(?<![0-9.,-])(?P<low>{_NUMERAL})\s?[-–—]\s?(?P<high>{_NUMERAL})(?![0-9-])")
_NEGATIVE = re.compile(rf"(?:(?<=[\s(])|^)[-−](?P<number>{_NUMERAL})(?!-?[0-9])")
_ORDINAL = re.compile(rf"(?<![0-9.,])(?P<number>[0-9]{{1,4}})-?(?P<gender>ይቲ|ይ)(?P<suffix>[{LETTER}]*)")
_MONEY_BEFORE = re.compile(rf"(?P<sign>[$€£¥]|USD|ETB|ERN|EUR|Nfk|Br)\.?\s?(?P<number>{_NUMERAL})")
_MONEY_AFTER = re.compile(
    rf"(?P<number>{_NUMERAL})\s?(?P<sign>[$€£¥]|USD|ETB|ERN|EUR|Nfk|Br(?![a-z])|ብር|ናቕፋ|ዶላር|ዩሮ)"
)
_UNIT = re.compile(rf"(?P<number>{_NUMERAL})\s?(?P<unit>km|cm|mm|kg|mg|m|g|l|°C|°)(?![A-Za-z])")
_PHONE = re.compile(r"(?<![0-9])(?:\+?[0-9]{3}[ -]?)?0?[0-9](?:[ -]?[0-9]{2,3}){2,4}(?![0-9])")
_NUMBER = re.compile(rf"(?P<number>{_NUMERAL})(?P<suffix>-?[{LETTER}]+)?")
_SHORTEST_PHONE = 9
_REACH = 12
"""Characters before a number that are looked at."""


def _gap(match: re.Match[str]) -> str:
    following = match.string[match.end() : match.end() + 1]
    return " " if following.isalnum() else ""


def _date(match: re.Match[str]) -> str:
    """Day, month and year by number, so that the reading is true in both calendars of the language."""
    table = words()
    day, month, year = (numeral(match[name].lstrip("0") or "0") for name in ("day", "month", "year"))
    return f"{table['day']} {day} {table['month']} {month} {table['year']} {year}" + _gap(match)


def _clock(match: re.Match[str]) -> str:
    """`ሰዓት 3:30`: hour and minutes linked, the minutes named; the word for the hour once. `ምዕራፍ 3:16` is a verse."""
    table = words()
    before = match.string[max(0, match.start() - _REACH) : match.start()]
    named = _HOUR_BEFORE.search(before) is not None
    if not named and match["sign"] == ".":
        return match[0]
    if _CHAPTER_BEFORE.search(before) or (match["sign"] == "፡" and not named):
        return f"{match['hour']} {match['minute']}"
    word = "" if named else f"{table['hour']} "
    hour = numeral(str(int(match["hour"])))
    minute = int(match["minute"])
    if not minute:
        return word + hour + _gap(match)
    return word + linked(hour, f"{numeral(str(minute))} {table['minute']}") + _gap(match)


def _money(match: re.Match[str]) -> str:
    """`$5.50` ሓሙሽተ ዶላርን ሓምሳ ሳንቲምን."""
    table = words()
    sign = match["sign"]
    currency = table["currencies"].get(sign, sign)
    whole, _, cents = match["number"].partition(".")
    if len(cents) == 2 and int(cents):
        amount = f"{numeral(str(int(cents)))} {table['cents']}"
        zero = not whole.strip("0")
        return (amount if zero else linked(f"{numeral(whole)} {currency}", amount)) + _gap(match)
    return f"{numeral(whole if len(cents) == 2 else match['number'])} {currency}" + _gap(match)


def _range(match: re.Match[str]) -> str:
    table = words()
    bound = _BOUND_BEFORE.search(match.string[max(0, match.start() - _REACH) : match.start()])
    start = "" if bound else f"{table['from']} "
    return f"{start}{numeral(match['low'])} {table['to']} {numeral(match['high'])}" + _gap(match)


def _ordinal(match: re.Match[str]) -> str:
    feminine = match["gender"] == "ይቲ"
    return ordinal(int(match["number"]), feminine=feminine) + match["suffix"] + _gap(match)


def _phone(match: re.Match[str]) -> str:
    """Nine digits and more that begin with 0 or + are no amount."""
    digits = re.sub("[^0-9]", "", match[0])
    if len(digits) < _SHORTEST_PHONE or not match[0].startswith(("0", "+")):
        return match[0]
    return digit_words(digits) + _gap(match)


def _number(match: re.Match[str]) -> str:
    suffix = (match["suffix"] or "").removeprefix("-")
    spoken = numeral(match["number"])
    if suffix in ("ተ", "ን") and spoken.endswith(suffix):  # `5ተ`, `25ን`
        suffix = ""
    gap = " " if len(suffix) > 1 else ""
    return spoken + gap + suffix + _gap(match)


def geez_stage() -> Stage:
    """Numerals written in Ethiopic numbers, as digits."""

    def read(match: re.Match[str]) -> str:
        before = " " if match.string[max(0, match.start() - 1) : match.start()].isdecimal() else ""
        return (
            before
            + str(numeral_value(match[0]))
            + _gap(match) * (match.string[match.end() :][:1].isdecimal())
        )

    return Stage(
        "numbers",
        (Substitution("ethiopic-numeral", _ETHIOPIC, read),),
        frozenset(map(chr, range(0x1369, 0x137D))),
    )


def numeric_stage() -> Stage:
    """Everything that holds a digit, as words; no digit is left."""
    table = words()
    rules: tuple[Rule, ...] = (
        Substitution("date", _DATE, _date, needs="/.-"),
        Substitution("clock", _CLOCK, _clock, needs=":፡."),
        Substitution("phone", _PHONE, _phone),
        Substitution(
            "percent", _PERCENT, lambda m: f"{numeral(m['number'])} {table['percent']}" + _gap(m), "%٪％"
        ),
        Substitution("money", _MONEY_BEFORE, _money),
        Substitution("money", _MONEY_AFTER, _money),
        Substitution(
            "unit",
            _UNIT,
            lambda m: f"{numeral(m['number'])} {table['units_of_measure'][m['unit']]}" + _gap(m),
        ),
        Substitution("range", _RANGE, _range, needs="-–—"),
        Substitution(
            "negative", _NEGATIVE, lambda m: f"{table['negative']} {numeral(m['number'])}" + _gap(m), "-−"
        ),
        Substitution("ordinal", _ORDINAL, _ordinal),
        Substitution("number", _NUMBER, _number),
    )
    return Stage("numbers", rules, frozenset({DIGIT}))
