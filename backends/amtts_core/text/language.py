"""Language packs: what a language brings, and how a pack is found. A new language is a folder and one line here."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from amtts_core.errors import AmttsError, nearest
from amtts_core.text.rules import Stage
from amtts_core.text.settings import NormalizerSettings

PACKS = {
    "am": "amtts_core.text.amharic.pack",
    "ti": "amtts_core.text.tigrinya.pack",
}
"""Code to the module whose `language()` returns the pack; imported when asked for."""
MISSING = {
    "om": "Oromo (qubee) is written in Latin letters and needs a symbol set, number words (tokko, lama, …), clock, "
    "dates and a sentence splitter of its own",
}
"""Languages that users ask for and that have no pack, with what one would have to bring."""


@dataclass(frozen=True)
class Language:
    """Everything the toolkit knows about reading one language aloud."""

    code: str
    name: str
    symbols: frozenset[str]
    """The characters a normalized text consists of."""
    optional_symbols: frozenset[str]
    """Characters that stand in a normalized text only where a setting keeps them."""
    plain: frozenset[str]
    """The characters of a text in which nothing has to be guessed: the letters of the language itself, space, marks."""
    stages: Callable[[NormalizerSettings], tuple[Stage, ...]]
    """Builds the stages of the normalizer, in order."""
    homophones: dict[int, str]
    """Letters that sound alike, each to the one that stands for its sound."""
    is_abbreviation: Callable[[str], bool]
    """True for a dotted word that ends in a dot without ending the sentence."""
    reporting: tuple[str, ...] = ()
    """Beginnings of the verbs that report what stands in quotation marks before them."""
    doubtful: re.Pattern[str] | None = None
    """Finds in a text of `plain` characters what has to be guessed at nevertheless."""
    cardinal: Callable[[int], str] | None = None
    to_ipa: Callable[[str], str] | None = None
    from_ipa: Callable[[str], str] | None = None
    """Writes phonemes in the language's letters."""
    romanize: Callable[[str], str] | None = None


@cache
def get_language(code: str) -> Language:
    """The pack of a language.

    Raises:
        AmttsError: no pack has that code.
    """
    if code in MISSING:
        raise AmttsError(
            f"language {code!r} has no text front end yet; {MISSING[code]}",
            remedy=f"Choose one of: {', '.join(sorted(PACKS))}; Oromo words inside Amharic text are read with 'am'",
        )
    if code not in PACKS:
        known = ", ".join(sorted(PACKS))
        raise AmttsError(
            f"language {code!r} is not known{nearest(code, PACKS)}", remedy=f"Choose one of: {known}"
        )
    language = importlib.import_module(PACKS[code]).language()
    assert isinstance(language, Language)
    return language
