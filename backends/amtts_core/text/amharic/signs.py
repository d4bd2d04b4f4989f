"""Signs between and around numbers: comparison, powers, roots, times, about, and more (`18+`)."""

from __future__ import annotations

import re

from amtts_core.text.amharic.numeric_features import LATIN_AFTER
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Rule, Substitution, literal

_N = r"[0-9]+(?:[.,][0-9]+)*"
_X = rf"(?:{_N}|[A-Za-z](?![A-Za-z]))"
_NOUN = rf"(?:[{LETTER}]+(?![{LETTER}]))"


def sign_rules() -> tuple[Rule, ...]:
    """Signs that are words only beside a number or a single letter; the numbers are left to the rules behind them."""
    return (
        literal("footnote", rf"(?<=[{LETTER}።፣])[⁰¹²³⁴-⁹]+", "", needs="⁰¹²³⁴⁵⁶⁷⁸⁹"),
        literal("footnote", rf"(?<=[{LETTER}።፣»])\[[0-9]{{1,3}}\]", "", needs="["),
        literal("power", r"(?<=[0-9A-Za-z)])²", " ስኩዌር", needs="²"),
        literal("power", r"(?<=[0-9A-Za-z)])³", " ኪዩብ", needs="³"),
        Substitution(
            "compared",
            re.compile(rf"(?<![0-9<>])(?P<first>{_X}) ?(?P<sign>[<>]) ?(?P<second>{_X})(?![<>])"),
            lambda m: f"{m['first']} ከ{m['second']} " + ("ይበልጣል" if m["sign"] == ">" else "ያንሳል"),
            needs="<>",
        ),
        Substitution(
            "at-least",
            re.compile(rf"(?P<sign>≥|≤|>=|<=) ?(?P<number>{_N})(?P<noun>%|\s{_NOUN})?"),
            _at_least,
            needs="≥≤=",
        ),
        Substitution(
            "more-than",
            re.compile(rf"(?:(?<=[\s(])|^)(?P<sign>[<>]) ?(?P<number>{_N})(?P<noun>%|\s{_NOUN})?"),
            lambda m: f"ከ{m['number']}{m['noun'] or ''} " + ("በላይ" if m["sign"] == ">" else "በታች"),
            needs="<>",
        ),
        literal("compared", r"\s?(?:≥|≧)\s?", " ይበልጣል ወይም እኩል ይሆናል ", needs="≥≧"),
        literal("compared", r"\s?(?:≤|≦)\s?", " ያንሳል ወይም እኩል ይሆናል ", needs="≤≦"),
        literal("power", r"(?<=[0-9A-Za-z)])\s?\^\s?(?=-?[0-9A-Za-z(])", " ኃይል ", needs="^"),
        Substitution("times", re.compile(r"(?<=[0-9]) ?[*∗] ?(?=[0-9])"), lambda _m: " ሲባዛ በ", needs="*∗"),
        literal("range", r"(?<=[0-9]) ?[~∼～] ?(?=[0-9])", "-", needs="~∼～"),
        literal("about", r"(?<![\w~])[~≈∼]\s?(?=[0-9$€£])", "በግምት ", needs="~≈∼"),
        literal("root", r"√\s?(?=[0-9])", "ስኩዌር ሩት ", needs="√"),
        Substitution(
            "more",
            re.compile(
                rf"(?<![0-9.,:/+])(?P<prefix>[የበለከ]?)(?P<number>{_N})\+(?P<noun>\s(?:ዓመት|አመት)(?![{LETTER}]))?(?=\s*(?:$|[።፣፤)])|\s(?![0-9])|[{LETTER}])"
            ),
            lambda m: f"{m['prefix'].replace('ከ', '')}ከ{m['number']}{m['noun'] or ''} በላይ ",
            needs="+",
        ),
        literal("not-equal", "≠", " እኩል አይደለም ከ", needs="≠"),
    )


_BY = re.compile(r"[0-9m] ?[xX*×] ?[0-9]")


def by_rule() -> Rule:
    """`3x4` and `61cm*173cm`: lengths by lengths."""
    pattern = r"(?<=[0-9])\s?[xX]\s?(?=[0-9])|(?<=[0-9][a-z]m)\s?[*xX×]\s?(?=[0-9])|(?<=[0-9]m)\s?[*xX×]\s?(?=[0-9])"
    return Substitution("by", re.compile(pattern), lambda _m: " በ", needs=(LATIN_AFTER,), guard=_BY)


def _at_least(match: re.Match[str]) -> str:
    """`≥ 18 ዓመት` አስራ ስምንት ዓመትና ከዚያ በላይ."""
    side = "በላይ" if match["sign"][0] in "≥>" else "በታች"
    noun = match["noun"] or ""
    if noun == "%":
        return f"{match['number']} በመቶና ከዚያ {side}"
    return f"{match['number']}{noun}ና ከዚያ {side}" if noun else f"{match['number']} እና ከዚያ {side}"
