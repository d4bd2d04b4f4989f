"""The numeric stage: every kind of number in the order in which their shapes must be tried (reference 1.5, 1.6)."""

from __future__ import annotations

import re

from amtts_core.text.amharic.affixes import following_space, is_bound, joint, letters_before, with_suffix
from amtts_core.text.amharic.clock import clock_rules
from amtts_core.text.amharic.dates import date_rules
from amtts_core.text.amharic.latin import code_rule
from amtts_core.text.amharic.money import money_range_rule, money_rules
from amtts_core.text.amharic.numbers import words
from amtts_core.text.amharic.numerals import NUMERAL, Reader
from amtts_core.text.amharic.numeric_features import (
    LEADING_ZERO,
    LIST,
    VULGAR,
    numeric_features,
)
from amtts_core.text.amharic.phones import phone_rules, ussd_rule
from amtts_core.text.amharic.quantities import fraction_rules, range_rules
from amtts_core.text.amharic.scripture import verse_rules
from amtts_core.text.amharic.signs import by_rule, sign_rules
from amtts_core.text.amharic.units import rate_rules, unit_rules
from amtts_core.text.ethiopic import LETTER, numeral_value
from amtts_core.text.rules import DIGIT, Rule, Stage, Substitution, literal
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
    rf"(?:(?<=[\s(])|(?<=[{LETTER}])|^)-(?P<numeral>{NUMERAL})(?P<degrees>\s?(?:ዲግሪ|°))?"
    rf"(?P<up_to>(?=\s(?:እስከ|እና)\s-?{NUMERAL}\s?(?:ዲግሪ|°)))?(?!-?[0-9])"
)
_MINUS = re.compile(rf"[\s({LETTER}]-[0-9]|^-")
_TYPED_ZERO = re.compile(r"(?<=[0-9])[ዐዑ](?=[0-9\s]|$)")
_TYPED_COMMA = re.compile(r"(?<![0-9])([1-9][0-9]{0,2})፣([0-9]00)(?![0-9]|፣[0-9])")
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,])([1-9][0-9]{0,2}(?:\.[0-9]{3})+),([0-9]{1,2})(?![0-9.,])")
_LOOSE_PREFIX = re.compile(rf"(?<![{LETTER}])([የበለከ]) (?=[0-9$€£¥])")
_LOOSE_SUFFIX = re.compile(rf"(?<=[0-9]) (?=(?:ኛ[{LETTER}]{{0,3}}|ው|ዋ|ዎቹ|ዎች)(?![{LETTER}]))")
_LIST_ORDINAL = re.compile(r"(?<![0-9])([0-9]{1,2}ኛ)\.(?=\s)")
_LIST_SLASH = re.compile(rf"(?:(?<=\s)|^)([1-9][0-9]?)/(?= [{LETTER}])")
_ZERO_COMMA = re.compile(r"(?<![0-9.,])0,(?=[0-9]{1,3}(?![0-9,]))")
_DECIMAL_COMMA_ALONE = re.compile(
    rf"(?<![0-9.,])([0-9]{{1,3}}),([0-9]{{1,2}})(?=\s?(?:%|በመቶ|ፐርሰንት|ሚሊ|ሚልዮን|ቢሊ|ቢልዮን|ትሪሊ|ሺህ|ሺ(?![{LETTER}])|ኪሎ|ሜትር|ዲግሪ|ዶላር|ነጥብ|"
    r"km|kg|cm|mm|m(?![a-z])|°))"
)
_AFTER_SCALE = re.compile(
    r"(?<=ሺህ )0{1,2}(?=[1-9][0-9]{0,2}(?![0-9]))|(?<=ሺ )0{1,2}(?=[1-9][0-9]{0,2}(?![0-9]))"
)
_SPACED_ONCE = re.compile(
    r"(?<![0-9.,:/-])(?<![0-9] )[1-9][0-9]{0,2} (?:000(?![0-9])|[0-9]{3}(?=\s?(?:ብር|ዶላር|ዩሮ|ሰዎች|ሜትር|ኪሎ|ሄክታር|ኩንታል|ቶን|"
    r"ተማሪዎች|\$|€|%)))(?![0-9]|[.,:/-][0-9])"
)
_LEADING_ZERO_DAY = re.compile(r"(?<![0-9.,:/-])0(?=[1-9] (?:ቀን|ወር|ሰዎች|ሰዓት|ደቂቃ|ዓመት)(?![ሀ-ፚ]))")
_SCALES = {
    "thousand": "ሺህ", "million": "ሚሊዮን", "billion": "ቢሊዮን", "trillion": "ትሪሊዮን", "mn": "ሚሊዮን", "bn": "ቢሊዮን",
    "k": "ሺህ", "m": "ሚሊዮን", "b": "ቢሊዮን", "ሚ": "ሚሊዮን", "ቢ": "ቢሊዮን",
}  # fmt: skip
_ENGLISH_SCALE = re.compile(
    r"(?<=[0-9])(?:\s?(?P<word>(?i:thousand|million|billion|trillion|mn|bn)|ሚ(?=\s)|ቢ(?=\s))|(?P<letter>[MB]|(?<![248])[Kk]))"
    rf"(?![A-Za-z{LETTER}])"
)
_CODE = re.compile(r"[A-Za-z]-?[0-9]+$")
LONGEST_CODE = 12
_RATIO = re.compile(r"(?<![0-9.,:/])1:(?=[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{3,6}(?![0-9:]))")
_ERA = re.compile(rf"([0-9]) ?አም(?![{LETTER}])\.?")
_LOOSE_POINT = re.compile(r"(?<=[0-9])\. (?=[0-9]{1,2} ?(?:ሚሊዮን|ሚሊየን|ቢሊዮን|ቢሊየን|ትሪሊዮን|ትሪሊየን|በመቶ|%))")
_LEADING_POINT = re.compile(r"(?:(?<=\s)|^)\.(?=[0-9])")


def _ethiopic_numeral(match: re.Match[str]) -> str:
    """`፲፱፻፹፬` as 1984; against Latin digits or when absurdly long, apart."""
    signs = match[0]
    value = str(numeral_value(signs)) if len(signs) <= 12 else " ".join(str(numeral_value(s)) for s in signs)
    before = " " if match.string[max(0, match.start() - 1) : match.start()].isdecimal() else ""
    after = " " if match.string[match.end() : match.end() + 1].isdecimal() else ""
    return before + value + after


def _scale(match: re.Match[str]) -> str:
    """`1.5B` is an amount; the letter of a code (`H-2B`, `S5M`) is a letter."""
    if match["letter"] and _CODE.search(match.string, max(0, match.start() - LONGEST_CODE), match.start()):
        return match[0]
    return f" {_SCALES[(match['word'] or match['letter']).lower()]}" + following_space(match)


def percent_rules(settings: NormalizerSettings) -> tuple[Rule, ...]:
    """`50%` ሃምሳ በመቶ; a suffix after the sign stays on the word (`90%ቱን` በመቶውን)."""
    percent, permille = settings.percent or words()["percent"], words()["permille"]
    definite = rf"(?<=[0-9])\s?[%٪％]ቱ(?=[{LETTER}]{{0,2}}(?![{LETTER}]))"
    return (
        *((literal("percent", definite, f" {percent}ው", needs="%٪％"),) if percent.endswith("ቶ") else ()),
        Substitution(
            "percent",
            re.compile(rf"(?<=[0-9])\s?([%٪％‰])(?=([0-9]|[{LETTER}]{{3}})?)"),
            lambda match: f" {permille if match[1] == '‰' else percent}" + (" " if match[2] else ""),
            needs="%٪％‰",
        ),
    )


_CONJUNCTIONS = frozenset({"እና", "ወደ", "ወይ", "ግን", "ነው"})


def _names_a_thing(text: str, position: int) -> bool:
    """True for the hyphen of a type or serial name (`ሚግ-29`, `ዲሲ -6`): it follows a short word that is no prefix."""
    if letters_before(text, position):
        return not is_bound(text, position)
    if text[position - 1 : position] != " ":
        return False
    word = letters_before(text, position - 1)
    if word in _CONJUNCTIONS:
        return False
    return 0 < len(word) <= 2 or word in words()["designators"]


def _negative_rule(reader: Reader) -> Substitution:
    """`-5` አሉታዊ አምስት; a temperature is ከዜሮ በታች."""

    def read(match: re.Match[str]) -> str:
        below_zero = match["degrees"] or match["up_to"] is not None
        if not below_zero and _names_a_thing(match.string, match.start()):
            return match[0].replace("-", " ", 1)
        word = reader.settings.negative or words()["negative"]
        prefix = match.string[match.start() - 1 : match.start()]
        if below_zero and prefix == words()["from"]:
            word = words()["below_zero"].removeprefix(prefix)
        elif below_zero and not prefix.isalpha():
            word = words()["below_zero"]
        number = reader.numeral(match["numeral"], match.string, match.start("numeral"), match.end("numeral"))
        degrees = " ዲግሪ" if match["degrees"] else ""
        return f"{word} {number}{degrees}" + following_space(match)

    return Substitution("negative", _NEGATIVE, read, needs="-", guard=_MINUS)


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


def codes_stage() -> Stage:
    """What must be read before `*`, `#` and the apostrophe mean anything else: codes to dial, `1'000`."""
    return Stage(
        "numbers",
        (
            ussd_rule(),
            literal("thousands", r"(?<=[0-9])['’](?=[0-9]{3}(?![0-9]))", ",", needs="'’"),
        ),
        frozenset("*#'’"),
    )


def geez_stage() -> Stage:
    """Numerals written in Ethiopic numbers, as digits."""
    return Stage(
        "numbers",
        (Substitution("ethiopic-numeral", _ETHIOPIC, _ethiopic_numeral),),
        frozenset(map(chr, range(0x1369, 0x137D))),
    )


def signs_stage() -> Stage:
    """Signs of arithmetic and rates, which need no digit beside them (`mg/dl`, `x²`)."""
    return Stage("signs", (*rate_rules(), *sign_rules()), frozenset("²³⁰¹⁴⁵⁶⁷⁸⁹<>≥≤≧≦^*∗~≈∼～√≠/×+["))


def numeric_stage(settings: NormalizerSettings) -> Stage:
    """Everything that holds a digit, as words; no digit is left."""
    reader = Reader(settings)
    rules: tuple[Rule, ...] = (
        literal("typed-zero", _TYPED_ZERO.pattern, "0", needs="ዐዑ"),
        by_rule(),
        code_rule(),
        *verse_rules(),
        Substitution("typed-comma", _TYPED_COMMA, lambda m: f"{m[1]},{m[2]}", needs=(LIST,)),
        Substitution("spaced-thousands", _SPACED_THOUSANDS, lambda m: m[0].replace(" ", ""), needs=(",0",)),
        Substitution(
            "decimal-comma", _DECIMAL_COMMA, lambda m: f"{m[1].replace('.', ',')}.{m[2]}", needs=(",0",)
        ),
        *(
            [Substitution("era", _ERA, lambda m: f"{m[1]} ዓመተ ምሕረት", needs=("አ", " አ"))]
            if settings.abbreviations
            else []
        ),
        literal("ratio", _RATIO.pattern, "1 ለ", needs=(":0",)),
        literal("corporal", r"(?<=[0-9]) ?/ ?(?=አለቃ)", " ", needs="/"),
        literal("loose-point", _LOOSE_POINT.pattern, ".", needs=(".0",)),
        literal("leading-point", _LEADING_POINT.pattern, "0.", needs="."),
        Substitution("loose-prefix", _LOOSE_PREFIX, lambda m: m[1], needs=("የ ", "በ ", "ለ ", "ከ ", *"$€£¥")),
        literal("loose-suffix", _LOOSE_SUFFIX.pattern, "", needs=(" ኛ", " ው", " ዋ", " ዎ")),
        Substitution("list-entry", _LIST_ORDINAL, lambda m: f"{m[1]}፣", needs=("ኛ",)),
        Substitution("list-entry", _LIST_SLASH, lambda m: f"{m[1]}፣", needs="/"),
        literal("decimal-comma", _ZERO_COMMA.pattern, "0.", needs=(",0",)),
        Substitution("decimal-comma", _DECIMAL_COMMA_ALONE, lambda m: f"{m[1]}.{m[2]}", needs=(",0",)),
        literal("leading-zero", _AFTER_SCALE.pattern, "", needs=(LEADING_ZERO,), words=("ሺህ 0", "ሺ 0")),
        literal("leading-zero", _LEADING_ZERO_DAY.pattern, "", needs=(LEADING_ZERO,)),
        *phone_rules(),
        Substitution("spaced-thousands", _SPACED_MILLIONS, lambda m: m[0].replace(" ", ""), needs=(" 0",)),
        Substitution("spaced-thousands", _SPACED_ONCE, lambda m: m[0].replace(" ", ""), needs=(" 0",)),
        Substitution(
            "english-scale",
            _ENGLISH_SCALE,
            _scale,
            needs=("@k", "@m", "@b", "@t", "ሚ", " ሚ", "ቢ", " ቢ"),
        ),
        *date_rules(reader),
        *clock_rules(settings),
        *percent_rules(settings),
        money_range_rule(),
        *money_rules(reader)[:1],
        *unit_rules(),
        *range_rules(reader),
        *money_rules(reader)[1:],
        *fraction_rules(reader),
        _negative_rule(reader),
        _number_rule(reader),
    )
    return Stage(
        "numbers", rules, frozenset({DIGIT, *VULGAR}), takes=frozenset({DIGIT}), look=numeric_features
    )
