"""The Tigrinya pack: its own homophone rule and no guttural folding, numbers and abbreviations; Latin words stay."""

from __future__ import annotations

from amtts_core.text import tables
from amtts_core.text.ethiopic import letters
from amtts_core.text.language import Language
from amtts_core.text.lexicon import lexicon_stage
from amtts_core.text.punctuation import MARKS, marks_stage, separators_stage, spacing_stage
from amtts_core.text.residue import residue_stage
from amtts_core.text.rules import Rule, Stage, Translation, literal
from amtts_core.text.settings import NormalizerSettings
from amtts_core.text.tigrinya.abbreviations import abbreviations_stage, is_abbreviation
from amtts_core.text.tigrinya.numbers import cardinal
from amtts_core.text.tigrinya.numeric import geez_stage, numeric_stage
from amtts_core.text.unicode import unicode_stage

PACKAGE = "amtts_core.text.tigrinya"


def letters_stage(settings: NormalizerSettings) -> Stage:
    """ሠ/ሰ, ኀ/ሐ and ፀ/ጸ sound alike; ሀ/ሐ/ኸ and አ/ዐ do not and are never folded (reference 5)."""
    rules: list[Rule] = []
    if settings.fold_homophones:
        rules.append(Translation("homophone", tables.fold_table(PACKAGE, "homophones.tsv")))
    if not settings.keeps_marks:
        rules.append(literal("gemination-mark", "[\u135d-\u135f]", "", needs="\u135d\u135e\u135f"))
    return Stage("letters", tuple(rules))


def stages(settings: NormalizerSettings) -> tuple[Stage, ...]:
    """The stages that the settings leave on."""
    optional = (
        (settings.markup or settings.emoji == "drop", lambda: residue_stage(settings)),
        (settings.unicode, unicode_stage),
        (bool(settings.lexicon), lambda: lexicon_stage(settings.lexicon)),
        (settings.numbers, geez_stage),
        (settings.punctuation, marks_stage),
        (settings.abbreviations, abbreviations_stage),
        (settings.numbers, numeric_stage),
        (settings.punctuation, lambda: separators_stage(settings, word_for_or="ወይ")),
        (True, lambda: letters_stage(settings)),
        (True, lambda: spacing_stage(punctuation=settings.punctuation)),
    )
    return tuple(build() for wanted, build in optional if wanted)


def language() -> Language:
    """The pack."""
    return Language(
        code="ti",
        name="Tigrinya",
        symbols=frozenset({*letters(), " ", *MARKS}),
        optional_symbols=frozenset("\u135d\u135e\u135f"),
        plain=frozenset({*letters(), " ", *MARKS}),
        stages=stages,
        homophones=tables.fold_table(PACKAGE, "homophones.tsv"),
        is_abbreviation=is_abbreviation,
        cardinal=cardinal,
    )
