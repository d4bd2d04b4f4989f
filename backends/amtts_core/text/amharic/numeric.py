"""The numeric stage: every kind of number in the order in which their shapes must be tried (reference 1.5, 1.6)."""

from __future__ import annotations

import re

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import following_space, is_bound, joint, letters_before, with_suffix
from amtts_core.text.amharic.clock import clock_rules
from amtts_core.text.amharic.dates import date_rules
from amtts_core.text.amharic.money import money_range_rule, money_rules
from amtts_core.text.amharic.numbers import digit_words, words
from amtts_core.text.amharic.numerals import NUMERAL, Reader
from amtts_core.text.amharic.phones import phone_rules
from amtts_core.text.amharic.quantities import fraction_rules, range_rules
from amtts_core.text.amharic.scripture import verse_rule
from amtts_core.text.ethiopic import LETTER, numeral_value
from amtts_core.text.rules import Rule, Stage, Substitution, literal
from amtts_core.text.settings import NormalizerSettings

_ETHIOPIC = re.compile("[፩-፼]+")
_SPACED_THOUSANDS = re.compile(
    r"(?<![0-9.,])(?<![0-9], )(?:[1-9][0-9]{0,2}(?:, 000)+|[1-9][0-9]?, [0-9]{3})(?![0-9]|[,.] ?[0-9])"
)
_SPACED_MILLIONS = re.compile(
    r"(?<![0-9.,])(?<![0-9] )[1-9][0-9]{0,2}(?: [0-9]{3}){2,}(?![0-9]|[,.][0-9]| [0-9])"
)
_NUMBER = re.compile(rf"(?P<numeral>{NUMERAL})(?P<suffix>-?[{LETTER}]+)?")
_NEGATIVE = re.compile(
    rf"(?:(?<=[\s(])|(?<=[{LETTER}])|^)-(?P<numeral>{NUMERAL})(?P<degrees>\s?(?:ዲግሪ|°))?(?!-?[0-9])"
)
_TYPED_ZERO = re.compile(r"(?<=[0-9])[ዐዑ](?=[0-9\s]|$)")
_TYPED_COMMA = re.compile(r"(?<![0-9])([1-9][0-9]{0,2})፣([0-9]00)(?![0-9]|፣[0-9])")
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,])([1-9][0-9]{0,2}(?:\.[0-9]{3})+),([0-9]{1,2})(?![0-9.,])")
_LOOSE_PREFIX = re.compile(rf"(?<![{LETTER}])([የበለከ]) (?=[0-9])")
_SCALES = {
    "thousand": "ሺህ",
    "million": "ሚሊዮን",
    "billion": "ቢሊዮን",
    "trillion": "ትሪሊዮን",
    "mn": "ሚሊዮን",
    "bn": "ቢሊዮን",
}
_ENGLISH_SCALE = re.compile(rf"(?i:(?<=[0-9])\s?({'|'.join(_SCALES)})(?![A-Za-z]))")
_LEADING_POINT = re.compile(r"(?:(?<=\s)|^)\.(?=[0-9])")


def _ethiopic_numeral(match: re.Match[str]) -> str:
    """`፲፱፻፹፬` as 1984; against Latin digits or when absurdly long, apart."""
    signs = match[0]
    value = str(numeral_value(signs)) if len(signs) <= 12 else " ".join(str(numeral_value(s)) for s in signs)
    before = " " if match.string[max(0, match.start() - 1) : match.start()].isdecimal() else ""
    after = " " if match.string[match.end() : match.end() + 1].isdecimal() else ""
    return before + value + after


def unit_rule() -> Substitution:
    """Units written by a sign or in Latin letters against or after a number."""
    units = tables.pairs("amtts_core.text.amharic", "units.tsv")
    signs = "|".join(re.escape(unit) for unit in sorted(units, key=len, reverse=True))
    return Substitution(
        "unit",
        re.compile(rf"(?<=[0-9])\s?({signs})(?![A-Za-z0-9{LETTER}²³])"),
        lambda match: " " + units[match[1]] + following_space(match),
    )


def percent_rule(settings: NormalizerSettings) -> Substitution:
    """`50%` ሃምሳ በመቶ; a suffix after the sign stays on the word."""
    percent, permille = settings.percent or words()["percent"], words()["permille"]
    return Substitution(
        "percent",
        re.compile(rf"(?<=[0-9])\s?([%٪％‰])(?=([0-9]|[{LETTER}]{{3}})?)"),
        lambda match: f" {permille if match[1] == '‰' else percent}" + (" " if match[2] else ""),
        needs="%٪％‰",
    )


def _names_a_thing(text: str, position: int) -> bool:
    """True for the hyphen of a type or serial name (`ሚግ-29`, `ዲሲ -6`): it follows a short word that is no prefix."""
    if letters_before(text, position):
        return not is_bound(text, position)
    if text[position - 1 : position] != " ":
        return False
    word = letters_before(text, position - 1)
    return 0 < len(word) <= 2 or word in words()["designators"]


def _negative_rule(reader: Reader) -> Substitution:
    """`-5` አሉታዊ አምስት; a temperature is ከዜሮ በታች."""

    def read(match: re.Match[str]) -> str:
        if not match["degrees"] and _names_a_thing(match.string, match.start()):
            return match[0].replace("-", " ", 1)
        word = (
            words()["below_zero"] if match["degrees"] else (reader.settings.negative or words()["negative"])
        )
        number = reader.numeral(match["numeral"], match.string, match.start("numeral"), match.end("numeral"))
        degrees = " ዲግሪ" if match["degrees"] else ""
        return f"{word} {number}{degrees}" + following_space(match)

    return Substitution("negative", _NEGATIVE, read, needs="-")


def _number_rule(reader: Reader) -> Substitution:
    """Any other numeral, its prefix bound, its suffix kept."""

    def read(match: re.Match[str]) -> str:
        text, suffix = match.string, match["suffix"] or ""
        end = match.end("numeral")
        read_as = reader.numeral(match["numeral"], text, match.start(), end)
        joined = with_suffix(read_as, suffix.removeprefix("-")) or f"{read_as} {suffix.removeprefix('-')}"
        after = following_space(match)
        return joint(text, match.start()) + joined + after

    return Substitution("number", _NUMBER, read)


def numeric_stage(settings: NormalizerSettings) -> Stage:
    """Everything that holds a digit, as words; no digit is left."""
    reader = Reader(settings)
    rules: tuple[Rule, ...] = (
        Substitution("ethiopic-numeral", _ETHIOPIC, _ethiopic_numeral),
        literal("typed-zero", _TYPED_ZERO.pattern, "0", needs="ዐዑ"),
        verse_rule(),
        Substitution("typed-comma", _TYPED_COMMA, lambda m: f"{m[1]},{m[2]}", needs="፣"),
        Substitution("spaced-thousands", _SPACED_THOUSANDS, lambda m: m[0].replace(" ", ""), needs=","),
        Substitution(
            "decimal-comma", _DECIMAL_COMMA, lambda m: f"{m[1].replace('.', ',')}.{m[2]}", needs=","
        ),
        literal("corporal", r"(?<=[0-9]) ?/ ?(?=አለቃ)", " ", needs="/"),
        literal("leading-point", _LEADING_POINT.pattern, "0.", needs="."),
        Substitution("loose-prefix", _LOOSE_PREFIX, lambda m: m[1]),
        *phone_rules(),
        Substitution("spaced-thousands", _SPACED_MILLIONS, lambda m: m[0].replace(" ", "")),
        Substitution(
            "english-scale", _ENGLISH_SCALE, lambda m: f" {_SCALES[m[1].lower()]}" + following_space(m)
        ),
        *date_rules(reader),
        *clock_rules(settings),
        percent_rule(settings),
        unit_rule(),
        money_range_rule(),
        *range_rules(reader),
        *money_rules(reader),
        *fraction_rules(reader),
        _negative_rule(reader),
        _number_rule(reader),
        Substitution("digit", re.compile("[0-9]+"), lambda m: f" {digit_words(m[0])} "),
    )
    return Stage("numbers", rules, re.compile("[0-9፩-፼½¼¾⅓⅔]"))
