"""The normalizer: runs a language's stages over a text. Knows the order of nothing; the pack decides it.

>>> Normalizer()("ዶ/ር አበበ በ1984 ዓ.ም. 27 ብር ከፈለ፡፡")
'ዶክተር አበበ በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት አመተ ምህረት ሀያ ሰባት ብር ከፈለ።'
"""

from __future__ import annotations

import collections
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from amtts_core.text.decoding import decode_text
from amtts_core.text.language import get_language
from amtts_core.text.residue import DROPPED
from amtts_core.text.rules import FiredRule, special_signs
from amtts_core.text.sentences import split_sentences
from amtts_core.text.settings import NormalizerSettings
from amtts_core.text.unicode import nfc
from amtts_core.text.words import LastStages

__all__ = ["FiredRule", "Normalizer", "NormalizerSettings", "Reading", "decode_text", "split_sentences"]

_PASSES = 8
_MOST_PLANS = 8192
ROUGH_RULES = ("latin-guess", "foreign-letter", "unknown-abbreviation", "legacy-font")
"""Rules whose result is no more than a guess at what was meant."""


@dataclass(frozen=True)
class Reading:
    """A normalized text and what happened on the way.

    Attributes:
        text: the normalized text.
        rules: every rule that changed something, in order; empty for a text that holds nothing but letters and marks.
    """

    text: str
    rules: tuple[FiredRule, ...] = ()

    @property
    def guesses(self) -> collections.Counter[str]:
        """Words that a rough rule reads, counted: Latin words of no lexicon, unknown abbreviations, foreign letters."""
        return collections.Counter(rule.before for rule in self.rules if rule.rule in ROUGH_RULES)

    @property
    def dropped(self) -> collections.Counter[str]:
        """What was left out because it is no text: emoji, markup, and by setting tags and addresses."""
        return collections.Counter(rule.before for rule in self.rules if rule.rule in DROPPED)


class Normalizer:
    """Text as people write it to text as people read it, in the language's own symbols.

    Safe to share between threads and to send to a process pool.
    """

    def __init__(self, settings: NormalizerSettings | None = None) -> None:
        self.settings = settings or NormalizerSettings()
        self._language = get_language(self.settings.language)
        self._allowed = self._language.symbols | (
            self._language.optional_symbols if self.settings.keeps_marks else frozenset()
        )
        *first, letters, spacing = self._language.stages(self.settings)
        self._first = tuple(first)
        self._last = LastStages(letters, spacing, self._allowed)
        self._plans: dict[frozenset[str], tuple[int, ...]] = {}

    def __reduce__(self) -> tuple[type[Normalizer], tuple[NormalizerSettings]]:
        return (Normalizer, (self.settings,))

    def with_lexicon(self, readings: Mapping[str, str]) -> Normalizer:
        """A normalizer with more readings of the user's own, which win over those it has."""
        if not readings:
            return self
        lexicon = {**self.settings.lexicon, **readings}
        return Normalizer(self.settings.model_copy(update={"lexicon": lexicon}))

    def __call__(self, text: str) -> str:
        """One normalized line. Normalizing it again changes nothing."""
        return self._run(text, None)

    def explain(self, text: str) -> list[FiredRule]:
        """Every rule that changed something, in order."""
        fired: list[FiredRule] = []
        self._run(text, fired)
        return fired

    def leftovers(self, normalized: str) -> collections.Counter[str]:
        """How often each character outside the language's symbols stands in a normalized text."""
        outside = set(normalized) - self._allowed
        return collections.Counter({character: normalized.count(character) for character in sorted(outside)})

    def read(self, text: str) -> Reading:
        """The normalized text with what was guessed at and what was left out.

        A reading of the user's own (`lexicon`) settles a guess.
        """
        doubtful = self._language.doubtful
        if self._language.plain.issuperset(text) and not (doubtful and doubtful.search(text)):
            return Reading(self._run(text, None))
        fired: list[FiredRule] = []
        return Reading(self._run(text, fired), tuple(fired))

    def guesses(self, text: str) -> collections.Counter[str]:
        """The guesses of `read`."""
        return self.read(text).guesses

    def dropped(self, text: str) -> collections.Counter[str]:
        """What `read` left out."""
        return self.read(text).dropped

    def _run(self, text: str, fired: list[FiredRule] | None) -> str:
        """Runs the stages until nothing changes; a text of the language's own symbols needs one pass."""
        for _ in range(_PASSES):
            before = text
            text = self._run_first(text, fired)
            if fired is None:
                text, finished = self._last.finish(text)
            else:
                text = self._last.apply(text, fired)
                finished = self._allowed.issuperset(text)
            if finished or text == before:
                break
            text = nfc(text)
        return text

    def _run_first(self, text: str, fired: list[FiredRule] | None) -> str:
        """All stages but the last two; the signs that a text holds say which have something to do."""
        signs = special_signs(text)
        plan, step = self._plan(signs), 0
        while step < len(plan):
            place = plan[step]
            step += 1
            stage = self._first[place]
            after = stage.apply(text, fired, signs)
            if after is not text:
                text, found = after, special_signs(after) if stage.takes is None else signs - stage.takes
                if found != signs:
                    signs, plan = found, self._plan(found)
                    step = bisect_right(plan, place)
        return text

    def _plan(self, signs: frozenset[str]) -> tuple[int, ...]:
        """The places of the stages that a text with these signs may call for."""
        plan = self._plans.get(signs)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = tuple(place for place, stage in enumerate(self._first) if stage.may_run_on(signs))
            self._plans[signs] = plan
        return plan
