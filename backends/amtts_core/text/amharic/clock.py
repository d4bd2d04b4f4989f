"""Clock times and durations (reference 1.6). Written times are already on the Ethiopian twelve-hour clock."""

from __future__ import annotations

import re

from amtts_core.text.amharic.affixes import following_space, is_bound, joint, letters_before
from amtts_core.text.amharic.numbers import cardinal, digit_words, words
from amtts_core.text.rules import Rule, Substitution, literal
from amtts_core.text.settings import NormalizerSettings

HOUR, MINUTE, SECOND, HALF, QUARTER, TO = "ሰዓት", "ደቂቃ", "ሰከንድ", "ተኩል", "ሩብ", "ጉዳይ"
_HOUR_WORD = r"(?:\s?(?:ሰዓት|ሰአት|ሠዓት)(?![ሀ-ፚ]))?"
_DURATION = re.compile(r"(?<![0-9.,:/])([0-9]{1,3}):([0-5]?[0-9]):([0-9]{2})(?![0-9:])" + _HOUR_WORD)
_TIME = re.compile(r"(?<![0-9.,:/])([01]?[0-9]|2[0-4]):([0-5][0-9])(?![0-9:])" + _HOUR_WORD)
_RACE = re.compile(r"(?<![0-9.,:/])([0-9]{1,2}):([0-5][0-9])(\.[0-9]{1,2})(?![0-9:])")
_MINUTES = re.compile(r"(?<![0-9.,:/])(2[5-9]|[3-5][0-9]):([0-5][0-9])(?![0-9:])")
_DOTTED = re.compile(r"(?<![0-9.,:/])(1[0-2]|[1-9])\.([0-5][0-9])\s?(?:ሰዓት|ሰአት|ሠዓት)(?![ሀ-ፚ])")
_MILITARY_PAIR = re.compile(
    r"(?<![0-9.,:/])([01][0-9]|2[0-4])([0-5][0-9])(?P<between>\s?-\s?|[^0-9።]{1,20})([01][0-9]|2[0-4])([0-5][0-9])"
    r"(?=\s?(?:ሰዓት|ሰአት|ሠዓት)(?![ሀ-ፚ]))"
)
_MILITARY = re.compile(r"(?<![0-9.,:/])(0[0-9])([0-5][0-9])\s?(?:ሰዓት|ሰአት)(?![ሀ-ፚ])")


def to_ethiopian_hour(hour: int) -> tuple[str, int]:
    """The part of the day and the hour of the Ethiopian clock for an hour of the 24-hour clock.

    Noon is `ከቀኑ` six; midnight is `ከሌሊቱ` six.
    """
    hour %= 24
    part = ("ከሌሊቱ", "ከጠዋቱ", "ከቀኑ", "ከምሽቱ")[hour // 6]
    return part, (hour - 6) % 12 or 12


def say_time(hour: int, minute: int, *, quarter_to: bool = True) -> str:
    """`8:00` ስምንት ሰዓት, `8:30` … ተኩል, `8:15` … ከሩብ, `8:45` ለዘጠኝ ሩብ ጉዳይ, else … ከM ደቂቃ."""
    if minute == 45 and quarter_to:
        return f"ለ{cardinal(hour % 12 + 1 if hour <= 12 else hour + 1)} {QUARTER} {TO}"
    spoken = f"{cardinal(hour)} {HOUR}"
    if minute == 0:
        return spoken
    if minute == 30:
        return f"{spoken} {HALF}"
    return f"{spoken} ከ{QUARTER}" if minute == 15 else f"{spoken} ከ{cardinal(minute)} {MINUTE}"


def _duration(match: re.Match[str]) -> str:
    """Hours, minutes, seconds; `13:05:96` is minutes, seconds, hundredths."""
    first, second, third = (int(group) for group in match.groups())
    units = (HOUR, MINUTE, SECOND) if third < 60 and first < 13 else (MINUTE, SECOND, "")
    parts = list(zip((first, second, third), units, strict=True))
    spoken = (
        " ከ".join(f"{cardinal(count)} {unit}".strip() for count, unit in parts if count)
        or f"{cardinal(0)} {SECOND}"
    )
    return joint(match.string, match.start()) + spoken + following_space(match)


def _race(match: re.Match[str]) -> str:
    """`31:06.02` and `27:13`: minutes and seconds; `50:50` is no time."""
    minutes, seconds = int(match[1]), int(match[2])
    fraction = match[3] if match.re is _RACE else ""
    if not fraction and minutes + seconds in (100, 2 * minutes):
        return match[0]
    point = f" {words()['point']} {digit_words(fraction)}" if fraction else ""
    spoken = f"{cardinal(minutes)} {MINUTE} {words()['from']}{cardinal(seconds)}{point} {SECOND}"
    return joint(match.string, match.start()) + spoken + following_space(match)


def _military_pair(match: re.Match[str]) -> str:
    """`0900 እስከ 1600 ሰዓት`: with a leading zero in front, both are hours and minutes."""
    if match[1][0] != "0":
        return match[0]
    between = f" {words()['to']} " if "-" in match["between"] else match["between"]
    return f"{int(match[1])}:{match[2]}{between}{int(match[4])}:{match[5]}"


def clock_rules(settings: NormalizerSettings) -> tuple[Rule, ...]:
    """Race times `2:10:08`, clock times `8:30`, military times `0900 ሰዓት`."""

    def read(match: re.Match[str]) -> str:
        hour, minute = int(match[1]), int(match[2])
        bound = is_bound(match.string, match.start())
        part = ""
        if settings.clock == "from-24h":
            part, hour = to_ethiopian_hour(hour)
            part = "" if bound or letters_before(match.string, match.start() - 1) else part + " "
        spoken = part + say_time(hour, minute, quarter_to=not bound)
        return joint(match.string, match.start()) + spoken + following_space(match)

    return (
        literal(
            "clock-range", r"(?<=:[0-9][0-9])\s?-\s?(?=[0-9]{1,2}:[0-9]{2})", f" {words()['to']} ", needs=":"
        ),
        Substitution("military", _MILITARY_PAIR, _military_pair, needs="0"),
        Substitution("duration", _RACE, _race, needs=":"),
        Substitution("duration", _DURATION, _duration, needs=":"),
        Substitution("clock", _TIME, read, needs=":"),
        Substitution("duration", _MINUTES, _race, needs=":"),
        Substitution("clock", _DOTTED, read, needs="."),
        Substitution("clock", _MILITARY, read, needs="0"),
    )
