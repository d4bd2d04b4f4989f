"""Clock times and durations (reference 1.6). Written times are already on the Ethiopian twelve-hour clock."""

from __future__ import annotations

import re

from amtts_core.text.amharic.affixes import following_space, is_bound, joint, letters_before
from amtts_core.text.amharic.numbers import cardinal, digit_words, words
from amtts_core.text.amharic.numeric_features import LEADING_ZERO
from amtts_core.text.ethiopic import to_order
from amtts_core.text.rules import Rule, Substitution, literal
from amtts_core.text.settings import NormalizerSettings

HOUR, MINUTE, SECOND, HALF, QUARTER, TO = "ሰዓት", "ደቂቃ", "ሰከንድ", "ተኩል", "ሩብ", "ጉዳይ"
_HOUR_WORD = r"(?:\s?(?:ሰዓት|ሰአት|ሠዓት|ሰዐት)(?![ሀ-ፚ]))"
_NOON = r"(?:\s?(?P<noon>[AaPp]\.\s?[Mm]\.|[AaPp]\.?[Mm](?![A-Za-z])|[ኤፒ](?:\.|\s)?ኤም(?![ሀ-ፚ]))\.?)"
"""A mark of the Western clock behind a time."""
_DURATION = re.compile(r"(?<![0-9.,:/])([0-9]{1,3}):([0-5]?[0-9]):([0-9]{2})(?![0-9:])" + _HOUR_WORD + "?")
_TIME = re.compile(
    rf"(?<![0-9.,:/])(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?![0-9:]){_HOUR_WORD}?{_NOON}?{_HOUR_WORD}?"
)
_RACE = re.compile(r"(?<![0-9.,:/])([0-9]{1,2}):([0-5][0-9])(\.[0-9]{1,2})(?![0-9:])")
_MINUTES = re.compile(r"(?<![0-9.,:/])(2[5-9]|[3-5][0-9]):([0-5][0-9])(?![0-9:])")
_DOT = r"(?<![0-9.,:/])(?P<hour>0?[1-9]|1[0-2])[.](?P<minute>[0-5][0-9])(?![0-9:])"
_MARKED = rf"(?={_HOUR_WORD}|{_NOON.replace('?P<noon>', '?:')})"
_DOTTED = re.compile(rf"{_DOT}{_MARKED}{_HOUR_WORD}?{_NOON}?{_HOUR_WORD}?")
_WITH_NOON = re.compile(rf"(?<![0-9.,:/])(?P<hour>0?[1-9]|1[0-2])(?P<minute>){_HOUR_WORD}?{_NOON}")
_DOTTED_ALONE = re.compile(_DOT)
_MILITARY_GUARD = re.compile("0[0-9]{3}(?![0-9])")
_COLON_GUARD = re.compile("[0-9]:[0-5][0-9]")
_NOON_GUARD = re.compile(r"[0-9] ?(?:[AaPp]\.?\s?[Mm]|[ኤፒ])|(?:ሰ[ዓአዐ]ት|ሠዓት) ?[AaPpኤፒ]")
_DOT_GUARD = re.compile(r"[0-9]\.[0-5][0-9]")
_DOTTED_RANGE = re.compile(
    r"(?<![0-9.,:/])(?P<open>ከ\s?)?(?P<first>0?[1-9]|1[0-2])[.](?P<low>[0-5][05])(?P<hours>\s?(?:ሰዓት|ሰአት))?"
    r"(?P<between>\s?-\s?|\s(?:ጀምሮ\s)?እስከ\s)"
    r"(?P<last>0?[1-9]|1[0-2])[.](?P<high>[0-5][05])(?![0-9:%.])(?P<end>\s?(?:ሰዓት|ሰአት|ሠዓት))?"
    r"(?!\s?(?:%|በመቶ|ከመቶ|ሚሊ|ቢሊ|ብር|ዶላር|ሜትር|ኪ|ዲግሪ|ግራም|ሊትር|ሄክታር|ነጥብ|እጥፍ|ዓመት|አመት))"
)
_MILITARY_PAIR = re.compile(
    r"(?<![0-9.,:/])([01][0-9]|2[0-4])([0-5][0-9])(?P<between>\s?-\s?|[^0-9።]{1,20})([01][0-9]|2[0-4])([0-5][0-9])"
    r"(?=\s?(?:ሰዓት|ሰአት|ሠዓት)(?![ሀ-ፚ]))"
)
_MILITARY = re.compile(
    r"(?<![0-9.,:/])(?P<hour>0[0-9])(?P<minute>[0-5][0-9])(?P<noon>)\s?(?:ሰዓት|ሰአት)(?![ሀ-ፚ])"
)
_PART_BEFORE = re.compile(r"([ሀ-ፚ]+)[፣፦]?\s(?:ላይ\s)?(?:ከ|በ|ለ|እስከ)?$")
_AFTER_HOUR_WORD = re.compile(r"(?<![0-9])(?<![0-9]\s)(?:ሰዓት|ሰአት|ሠዓት)(?: በኋላ)?[፣፦]? $")
_COUNTED_AFTER = re.compile(r"\s?(?:%|በመቶ|ከመቶ|ሺ|ሚሊ|ሚል|ቢሊ|ቢል|ትሪ|ብር|ዶላር|ኪ|ሜትር|ዲግሪ)")
_PARTS = ("ጠዋት", "ጧት", "ማታ", "ምሽት", "ሌሊት", "ቀን", "ረፋድ", "ንጋት", "ማለዳ", "ጎህ", "ማምሻ")
_LONGEST_PART = 24


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


def _is_part(word: str) -> bool:
    """True for a part of the day, inflected or not: `ጠዋት`, `ከቀኑ`, `ምሽቱን`; not for the ቀን of a date."""
    for part in _PARTS:
        place = word.find(part[:-1])
        if 0 <= place <= 2 and word[place + len(part) - 1 :][:1] in (part[-1], to_order(part[-1], 2)):
            return part != "ቀን" or word[place:].startswith("ቀኑ")
    return False


def clock_rules(settings: NormalizerSettings) -> tuple[Rule, ...]:
    """Race times `2:10:08`, clock times `8:30`, `7.45` after a part of the day, `2pm`, military times `0900 ሰዓት`."""

    def read(match: re.Match[str]) -> str:
        hour, minute, noon = int(match["hour"]), match["minute"], _noon(match)
        bound = is_bound(match.string, match.start())
        part_of_day = _PART_BEFORE.search(match.string, max(0, match.start() - _LONGEST_PART), match.start())
        in_part = part_of_day is not None and _is_part(part_of_day[1])
        part = after = ""
        if settings.clock == "from-24h" and not in_part:
            if noon:
                hour = hour % 12 + (12 if noon == "ፒ" else 0)
            part, hour = to_ethiopian_hour(hour)
            part = "" if bound or letters_before(match.string, match.start() - 1) else part + " "
        elif noon:
            after = f" {noon} ኤም"
        if not minute:
            spoken = cardinal(hour) + ("" if after else f" {HOUR}")
        else:
            spoken = say_time(hour, int(minute), quarter_to=not (bound or after))
        return joint(match.string, match.start()) + part + spoken + after + following_space(match)

    def after_part(match: re.Match[str]) -> str:
        part_of_day = _PART_BEFORE.search(match.string, max(0, match.start() - _LONGEST_PART), match.start())
        if part_of_day is None or not (
            _is_part(part_of_day[1]) or _AFTER_HOUR_WORD.search(match.string, 0, match.start())
        ):
            return match[0]
        if _COUNTED_AFTER.match(match.string, match.end()):
            return match[0]
        bound = is_bound(match.string, match.start())
        spoken = say_time(int(match["hour"]), int(match["minute"]), quarter_to=not bound)
        return spoken + following_space(match)

    def dotted_range(match: re.Match[str]) -> str:
        part_of_day = _PART_BEFORE.search(match.string, max(0, match.start() - _LONGEST_PART), match.start())
        if not (
            match["open"] or match["hours"] or match["end"] or (part_of_day and _is_part(part_of_day[1]))
        ):
            return match[0]
        first = say_time(int(match["first"]), int(match["low"]), quarter_to=False)
        last = say_time(int(match["last"]), int(match["high"]), quarter_to=False)
        opening = words()["from"] if match["open"] or not part_of_day else ""
        between = f" {words()['to']} " if "-" in match["between"] else match["between"]
        return joint(match.string, match.start()) + opening + first + between + last + following_space(match)

    return (
        literal(
            "clock-range",
            r"(?<=:[0-9][0-9])\s?-\s?(?=[0-9]{1,2}:[0-9]{2})",
            f" {words()['to']} ",
            needs=(":0",),
        ),
        literal(
            "clock-range",
            r"(?<=[0-9][AaPp][Mm])\s?-\s?(?=[0-9])|(?<=[0-9] [AaPp][Mm])\s?-\s?(?=[0-9])",
            f" {words()['to']} ",
            needs=("@a", "@p"),
        ),
        Substitution(
            "military", _MILITARY_PAIR, _military_pair, needs=(LEADING_ZERO,), guard=_MILITARY_GUARD
        ),
        Substitution("duration", _RACE, _race, needs=(":0",)),
        Substitution("duration", _DURATION, _duration, needs=(":0",)),
        Substitution("clock", _TIME, read, needs=(":0", LEADING_ZERO), guard=_COLON_GUARD),
        Substitution("duration", _MINUTES, _race, needs=(":0",)),
        Substitution("clock", _DOTTED_RANGE, dotted_range, needs=(".0",), guard=_DOT_GUARD),
        Substitution("clock", _DOTTED, read, needs=(".0",), guard=_DOT_GUARD),
        Substitution("clock", _DOTTED_ALONE, after_part, needs=(".0",), guard=_DOT_GUARD),
        Substitution("clock", _WITH_NOON, read, needs=("@a", "@p", "ፒ", " ፒ", "ኤ", " ኤ"), guard=_NOON_GUARD),
        Substitution("clock", _MILITARY, read, needs=(LEADING_ZERO,), guard=_MILITARY_GUARD),
    )


def _noon(match: re.Match[str]) -> str:
    """`ኤ` before noon, `ፒ` after it, "" where the text has no such mark."""
    mark = match["noon"]
    return "" if not mark else "ኤ" if mark[0] in "Aaኤ" else "ፒ"
