"""The Amharic pack: its symbols and its stages in the order of reference 1.1."""

from __future__ import annotations

from amtts_core.text.amharic.abbreviation_forms import rule_table
from amtts_core.text.amharic.abbreviations import abbreviations_stage, is_abbreviation
from amtts_core.text.amharic.from_ipa import from_ipa
from amtts_core.text.amharic.g2p import to_ipa
from amtts_core.text.amharic.gemination import mark_rule
from amtts_core.text.amharic.latin import latin_stage, web_stage
from amtts_core.text.amharic.legacy import DOUBTFUL, legacy_stage
from amtts_core.text.amharic.letters import homophones, letters_stage, own_letters
from amtts_core.text.amharic.numbers import cardinal
from amtts_core.text.amharic.numeric import codes_stage, geez_stage, numeric_stage, signs_stage
from amtts_core.text.amharic.romanize import romanize
from amtts_core.text.ethiopic import letters
from amtts_core.text.language import Language
from amtts_core.text.lexicon import lexicon_stage
from amtts_core.text.punctuation import MARKS, marks_stage, separators_stage, spacing_stage
from amtts_core.text.residue import residue_stage
from amtts_core.text.rules import Stage
from amtts_core.text.settings import NormalizerSettings
from amtts_core.text.unicode import unicode_stage


def stages(settings: NormalizerSettings) -> tuple[Stage, ...]:
    """The stages that the settings leave on."""
    optional = (
        (settings.markup or settings.emoji == "drop", lambda: residue_stage(settings)),
        (settings.unicode, lambda: unicode_stage()),
        (
            bool(settings.lexicon),
            lambda: lexicon_stage(settings.lexicon, prefixes=tuple(rule_table()["prefixes"])),
        ),
        (settings.typos, legacy_stage),
        (settings.numbers, codes_stage),
        (settings.latin, lambda: web_stage(settings)),
        (settings.punctuation, lambda: marks_stage(reporting=tuple(rule_table()["reporting"]))),
        (settings.abbreviations, abbreviations_stage),
        (settings.numbers, signs_stage),
        (settings.numbers, geez_stage),
        (settings.numbers, lambda: numeric_stage(settings)),
        (settings.latin, lambda: latin_stage(settings)),
        (settings.punctuation, lambda: separators_stage(settings, word_for_or="ወይም")),
        (True, lambda: letters_stage(settings, *([mark_rule()] if settings.mark_gemination else []))),
        (True, lambda: spacing_stage(punctuation=settings.punctuation)),
    )
    return tuple(build() for wanted, build in optional if wanted)


def language() -> Language:
    """The pack."""
    return Language(
        code="am",
        name="Amharic",
        symbols=frozenset({*letters(), " ", *MARKS}),
        optional_symbols=frozenset("\u135d\u135e\u135f"),
        plain=frozenset({*own_letters(), " ", *MARKS, *"፡,-()«»\"'0123456789"}),
        doubtful=DOUBTFUL,
        stages=stages,
        homophones=homophones(),
        is_abbreviation=is_abbreviation,
        reporting=tuple(rule_table()["reporting"]),
        cardinal=cardinal,
        to_ipa=to_ipa,
        from_ipa=from_ipa,
        romanize=romanize,
    )
