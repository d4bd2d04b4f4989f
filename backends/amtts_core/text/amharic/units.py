"""Units of measure: after a number, as a rate (`mg/dl`), and with ² or ³ (`5 ኪ.ሜ²` ካሬ ኪሎ ሜትር)."""

from __future__ import annotations

import re
from functools import cache

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import following_space
from amtts_core.text.amharic.numeric_features import LATIN_AFTER
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Rule, Substitution, literal

_PACKAGE = "amtts_core.text.amharic"
_SQUARE, _CUBE = "ካሬ", "ኩብ"
_AMHARIC = ("ሜትር", "ኪሎ ሜትር", "ኪሎሜትር", "ሴንቲ ሜትር", "ሴንቲሜትር", "ሚሊ ሜትር", "ሚሊሜትር", "ኪሜ", "ሴሜ", "ሳሜ", "ሚሜ", "ሜ")
_END = rf"(?![A-Za-z0-9{LETTER}²³])"


@cache
def units() -> dict[str, str]:
    """Every unit as it is written, to its reading."""
    return dict(tables.pairs(_PACKAGE, "units.tsv"))


def _pattern(names: list[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def rate_rules() -> tuple[Rule, ...]:
    """`mg/dl` ሚሊ ግራም በዴሲ ሊትር and `5 ኪ.ሜ²` አምስት ካሬ ኪሎ ሜትር, with a number or without."""
    table = units()
    latin = [name for name in table if name[0].isascii() and name.isalpha()]
    over = [name for name in latin if len(name) > 1 or name in "gLlmtVW"]
    raised = {**{name: table[name] for name in latin}, **{name: table.get(name, name) for name in _AMHARIC}}

    def rate(match: re.Match[str]) -> str:
        if match[0].replace(" ", "") in table:
            return match[0]
        under = table[match["under"]]
        if match["power"]:
            under = f"{_SQUARE} {under}" if match["power"] in "²2" else f"{under} {_CUBE}"
        return _apart(match, f"{table[match['over']]} በ{under}")

    def power(match: re.Match[str]) -> str:
        name = raised[match["unit"]]
        return _apart(match, f"{_SQUARE} {name}" if match["power"] == "²" else f"{name} {_CUBE}")

    return (
        Substitution(
            "unit",
            re.compile(
                rf"(?<![A-Za-z{LETTER}/])(?P<over>{_pattern(over)}) ?/ ?(?P<under>{_pattern([*over, 'h', 's'])})"
                r"(?P<power>[²³]|(?<=m)[23])?(?![A-Za-z0-9/²³])"
            ),
            rate,
            needs="/",
        ),
        Substitution(
            "unit",
            re.compile(rf"(?<![A-Za-z{LETTER}])(?P<unit>{_pattern(list(raised))}) ?(?P<power>[²³])"),
            power,
            needs="²³",
        ),
    )


def unit_rules() -> tuple[Rule, ...]:
    """Units after a number."""
    table = units()
    amharic = [name for name in table if not name[0].isascii() and name[0].isalpha() and name[0] not in "µμΩ"]
    other = [name for name in table if name not in amharic]
    first = sorted({name[0] for name in amharic})
    return (
        literal("unit", "(?<=[0-9]) ?[oº˚]C(?![A-Za-z])", "°C", needs=("@o", *"º˚")),
        literal("unit", "(?<=[0-9]) ?[º˚](?![A-Za-z])", "°", needs="º˚"),
        Substitution(
            "unit",
            re.compile(rf"([0-9])\s?({_pattern(other)}){_END}"),
            lambda match: f"{match[1]} {table[match[2]]}" + following_space(match),
            needs=(LATIN_AFTER, *"°℃º˚µμΩ"),
        ),
        Substitution(
            "unit",
            re.compile(rf"([0-9])\s?({_pattern(amharic)}){_END}"),
            lambda match: f"{match[1]} {table[match[2]]}" + following_space(match),
            needs=(*first, *(f" {letter}" for letter in first)),
        ),
    )


def _apart(match: re.Match[str], said: str) -> str:
    before = match.string[max(0, match.start() - 1) : match.start()]
    return (" " if before.isalnum() else "") + said + following_space(match)
