"""The last stages: rules that look at one word at a time, then spacing. Each distinct word is worked out once.

Most words of a text are common ones, so that their letters need not be folded, nor their marks looked at, again and
again; what is remembered is bounded.
"""

from __future__ import annotations

import re

from amtts_core.text.punctuation import MARKS
from amtts_core.text.rules import FiredRule, Stage

_MOST_WORDS = 1 << 15
_MARKS = frozenset(MARKS)
_NO_SIGNS: frozenset[str] = frozenset()


class LastStages:
    """The letters of every word, then single spaces and tidy marks.

    Args:
        letters: rules that see nothing beyond a word.
        spacing: what is done to the whole text at the end.
        allowed: the characters of a finished text.
    """

    def __init__(self, letters: Stage, spacing: Stage, allowed: frozenset[str]) -> None:
        self._letters, self._spacing, self._allowed = letters, spacing, allowed
        self._outside = re.compile(f"[^{''.join(map(re.escape, sorted(allowed)))}]")
        self._known: dict[str, str] = {}
        self._odd: set[str] = set()

    def apply(self, text: str, fired: list[FiredRule]) -> str:
        """The finished text; changes are appended to `fired`."""
        return self._spacing.apply(self._letters.apply(text, fired), fired)

    def finish(self, text: str) -> tuple[str, bool]:
        """The finished text, and whether all its characters are allowed ones."""
        known, words = self._known, text.split()
        done = " ".join([known.get(word) or self._learn(word) for word in words])
        if self._odd.isdisjoint(words):
            return done, True
        done = self._spacing.apply(done, signs=_NO_SIGNS)
        return done, self._outside.search(done) is None

    def _learn(self, word: str) -> str:
        if len(self._known) >= _MOST_WORDS:
            self._known.clear()
            self._odd.clear()
        done = self._known[word] = self._letters.apply(word)
        untidy = not done or done[0] in _MARKS or not _MARKS.isdisjoint(done[:-1])
        if untidy or not self._allowed.issuperset(done):
            self._odd.add(word)
        return done
