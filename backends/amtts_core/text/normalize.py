"""The normaliser: runs a language's stages over a text. Knows the order of nothing; the pack decides it.

>>> Normalizer()("ዶ/ር አበበ በ1984 ዓ.ም. 27 ብር ከፈለ፡፡")
'ዶክተር አበበ በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት ዓመተ ምህረት ሃያ ሰባት ብር ከፈለ።'
"""

from __future__ import annotations

import collections

from amtts_core.text.decoding import decode_text
from amtts_core.text.language import get_language
from amtts_core.text.residue import DROPPED
from amtts_core.text.rules import FiredRule
from amtts_core.text.sentences import split_sentences
from amtts_core.text.settings import NormalizerSettings
from amtts_core.text.unicode import nfc

__all__ = ["FiredRule", "Normalizer", "NormalizerSettings", "decode_text", "split_sentences"]

_PASSES = 8
ROUGH_RULES = ("latin-guess", "foreign-letter", "unknown-abbreviation", "legacy-font")
"""Rules whose result is no more than a guess at what was meant."""


class Normalizer:
    """Text as people write it to text as people read it, in the language's own symbols.

    Safe to share between threads and to send to a process pool.
    """

    def __init__(self, settings: NormalizerSettings | None = None) -> None:
        self.settings = settings or NormalizerSettings()
        self._language = get_language(self.settings.language)
        self._stages = self._language.stages(self.settings)
        self._allowed = self._language.symbols | (
            frozenset() if self.settings.strip_gemination_marks else self._language.optional_symbols
        )

    def __reduce__(self) -> tuple[type[Normalizer], tuple[NormalizerSettings]]:
        return (Normalizer, (self.settings,))

    def __call__(self, text: str) -> str:
        """One normalised line. Normalising it again changes nothing."""
        return self._run(text, None)

    def explain(self, text: str) -> list[FiredRule]:
        """Every rule that changed something, in order."""
        fired: list[FiredRule] = []
        self._run(text, fired)
        return fired

    def leftovers(self, normalized: str) -> collections.Counter[str]:
        """How often each character outside the language's symbols stands in a normalised text."""
        outside = set(normalized) - self._allowed
        return collections.Counter({character: normalized.count(character) for character in sorted(outside)})

    def guesses(self, text: str) -> collections.Counter[str]:
        """Words of a text that a rough rule reads, counted: Latin words of no lexicon, letters of other languages.

        A reading of the user's own (`lexicon`) settles such a word.
        """
        if self._language.plain.issuperset(text):
            return collections.Counter()
        return collections.Counter(rule.before for rule in self.explain(text) if rule.rule in ROUGH_RULES)

    def dropped(self, text: str) -> collections.Counter[str]:
        """What was left out of a text because it is no text: emoji, markup, and by setting tags and addresses."""
        return collections.Counter(rule.before for rule in self.explain(text) if rule.rule in DROPPED)

    def _run(self, text: str, fired: list[FiredRule] | None) -> str:
        """Runs the stages until nothing changes; a text of the language's own symbols needs one pass."""
        for _ in range(_PASSES):
            before = text
            for stage in self._stages:
                text = stage.apply(text, fired)
            if text == before or self._allowed.issuperset(text):
                break
            text = nfc(text)
        return text
