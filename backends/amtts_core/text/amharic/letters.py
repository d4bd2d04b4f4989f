"""The Amharic alphabet: the table of 33 rows by 7 orders, the rounded letters, and the folds over them."""

from __future__ import annotations

import re
from functools import cache

from amtts_core.text import tables
from amtts_core.text.amharic.legacy import legacy_words
from amtts_core.text.ethiopic import compose, decompose, is_letter, order_of, same_row, to_order
from amtts_core.text.rules import Rule, Stage, Substitution, Translation, literal
from amtts_core.text.settings import NormalizerSettings

__all__ = [
    "ALPHABET",
    "LABIALISED",
    "LOAN_ROWS",
    "compose",
    "decompose",
    "fidel_table",
    "is_letter",
    "letters_stage",
    "order_of",
    "same_row",
    "to_order",
]

PACKAGE = "amtts_core.text.amharic"

ALPHABET = tuple("ሀለሐመሠረሰሸቀበተቸኀነኘአከኸወዐዘዠየደጀገጠጨጰጸፀፈፐ")
"""The 33 rows in the order of the school chart, each by its first letter."""
LOAN_ROWS = ("ቨ",)
"""Rows written for loan words; no part of the school chart."""
LABIALISED = tuple("ቈቊቋቌቍኈኊኋኌኍኰኲኳኴኵዀዂዃዄዅጐጒጓጔጕሏሗሟሧሯሷሿቧቯቷቿኗኟዟዧዷጇጧጯጷጿፏፗ")
"""Rounded letters: five rows of rounded consonants, and the eighth order of the plain rows."""
STRAY = {"ፘ": "ርያ", "ፙ": "ምያ", "ፚ": "ፍያ"}
"""Three letters that belong to no row, as two letters."""


def fidel_table() -> tuple[tuple[str, ...], ...]:
    """33 rows of 7 letters, first to seventh order."""
    return tuple(tuple(chr(ord(first) + offset) for offset in range(7)) for first in ALPHABET)


def own_letters() -> frozenset[str]:
    """The letters that Amharic writes: the chart, the loan row, the rounded letters."""
    loans = (chr(ord(first) + offset) for first in LOAN_ROWS for offset in range(7))
    return frozenset({*(letter for row in fidel_table() for letter in row), *loans, *LABIALISED})


@cache
def homophones() -> dict[int, str]:
    """Every letter that sounds like another, to the one that stands for the sound."""
    return tables.fold_table(PACKAGE, "homophones.tsv")


def fold_homophones(text: str) -> str:
    """One letter per sound."""
    return text.translate(homophones())


@cache
def _sounds_like() -> dict[str, str]:
    classes: dict[str, str] = {"ቆ": "ቆቈ", "ቁ": "ቁቍ", "ጎ": "ጎጐ", "ኮ": "ኮኰ"}
    for variant, canonical in homophones().items():
        classes[canonical] = classes.get(canonical, canonical) + chr(variant)
    return {letter: f"[{variants}]" for letter, variants in classes.items()}


def any_spelling(word: str) -> str:
    """A pattern for a word in any spelling of its sounds (`ሐምሌ`, `ሀምሌ`, `ሃምሌ`)."""
    folded = fold_homophones(word.translate(str.maketrans("ቈቍጐኰ", "ቆቁጎኮ")))
    return "".join(_sounds_like().get(letter, re.escape(letter)) for letter in folded)


def typo_rules() -> tuple[Rule, ...]:
    """Slips whose pronunciation is the same, so that mending them loses nothing."""
    slips = tables.pairs(PACKAGE, "typos.tsv")
    letters = {ord(slip): meant for slip, meant in slips.items() if len(slip) == 1}
    strings = {slip: meant for slip, meant in slips.items() if len(slip) > 1}
    first_letters = "".join({slip[0] for slip in strings})
    pattern = re.compile("|".join(strings))
    return (
        Substitution("typo", pattern, lambda match: strings[match[0]], needs=first_letters),
        Translation("typo", letters),
    )


def joined_spellings() -> tuple[Rule, ...]:
    """`ሉዋ ልዋ ሉአ` for `ሏ`: off by default, because it also changes real words."""
    rules: list[Rule] = []
    for rounded in LABIALISED:
        row, order = decompose(rounded)
        if order == 8:
            second, sixth = compose(row, 2), row
            rules.append(
                literal("two-letter-rounded", f"{second}[ዋአ]|{sixth}ዋ", rounded, needs=second + sixth)
            )
    return tuple(rules)


def letters_stage(settings: NormalizerSettings, *more: Rule) -> Stage:
    """Reference 1.2 and 1.3: letters of other languages, typos, rounded letters, homophones; each switchable.

    Args:
        settings: say which rules there are.
        more: rules for single words that come last.
    """
    foreign = {**tables.fold_table(PACKAGE, "foreign_letters.tsv"), **{ord(k): v for k, v in STRAY.items()}}
    rules: list[Rule] = list(joined_spellings()) if settings.join_labialised else []
    if settings.typos:
        rules += [legacy_words(), *typo_rules()]
    rules.append(Translation("foreign-letter", foreign))
    if settings.fold_labialised:
        rules.append(Translation("rounded", tables.fold_table(PACKAGE, "labialised.tsv")))
    if settings.fold_homophones:
        rules.append(Translation("homophone", homophones()))
    if not settings.keeps_marks:
        rules.append(literal("gemination-mark", "[\u135d-\u135f]", "", needs="\u135d\u135e\u135f"))
    rules += more
    return Stage("letters", tuple(rules), look=lambda word, _signs: set(word))
