"""Rules and stages: what a language pack is made of. Knows how a rule runs and is recorded, no language.

A rule has two speeds: `apply(text)` for corpora, `apply(text, record)` for `--explain`, which reports each change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

Record = Callable[[str, str, str], None]
"""Called with the rule's name, the text before and the text after."""


@dataclass(frozen=True)
class FiredRule:
    """One change that a rule made."""

    stage: str
    rule: str
    before: str
    after: str


class Rule(Protocol):
    """Anything with a name that turns a text into a text."""

    @property
    def name(self) -> str:
        """What `--explain` calls the rule."""

    def apply(self, text: str, record: Record | None = None) -> str:
        """The text after the rule; each change is reported to `record`."""


@dataclass(frozen=True)
class Substitution:
    """Replaces every match of a pattern. `replace` returns the match itself where it does not apply."""

    name: str
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]
    needs: Iterable[str] = ()
    """Features of which a text must have one (see `Stage.look`); none lets the pattern always run."""
    words: tuple[str, ...] = ()
    """Strings of which a text must hold one; none lets the pattern always run."""
    guard: re.Pattern[str] | None = None
    """A pattern that is quicker to look for, and without which there is no match."""

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        if self.guard is not None and not self.guard.search(text):
            return text
        if record is None:
            return self.pattern.sub(self.replace, text)

        def recorded(match: re.Match[str]) -> str:
            after = self.replace(match)
            before, now = match[0].strip(), after.strip()
            if before != now:
                record(self.name, before, now)
            elif after != match[0]:
                record(self.name, match[0], after)
            return after

        return self.pattern.sub(recorded, text)


@dataclass(frozen=True)
class Translation:
    """Replaces single characters by table (`str.translate`)."""

    name: str
    table: Mapping[int, str]
    trigger: re.Pattern[str] = field(init=False, repr=False)
    """Finds any character of the table; most texts hold none, and looking is cheaper than translating."""

    def __post_init__(self) -> None:
        characters = "".join(re.escape(chr(code)) for code in self.table)
        object.__setattr__(self, "trigger", re.compile(f"[{characters}]" if characters else r"(?!)"))

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`; changes are reported word by word."""
        if not self.trigger.search(text):
            return text
        after = text.translate(self.table)
        if record is not None and after != text:
            for word in text.split():
                if (changed := word.translate(self.table)) != word:
                    record(self.name, word, changed)
        return after


@dataclass(frozen=True)
class Whole:
    """Applies a function to the whole text."""

    name: str
    function: Callable[[str], str]
    needs: Iterable[str] = ()
    """As of `Substitution`."""

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        after = self.function(text)
        if record is not None and after != text:
            record(self.name, text, after)
        return after


Look = Callable[[str, AbstractSet[str]], AbstractSet[str]]
"""Finds the features of a text that rules ask for, given its signs."""
Step = tuple["frozenset[str] | None", "tuple[str, ...]", "Callable[[str], str]"]
"""What a rule needs, the words that it needs, and how it runs unrecorded."""
_SPECIAL = re.compile("[^ \u1200-\u135a0-9A-Za-z]")
_DIGIT, _LATIN = re.compile("[0-9]"), re.compile("[A-Za-z]")
DIGIT, LATIN = "0", "a"
"""Stand in the signs of a text for any digit and for any letter from a to z."""


def special_signs(text: str) -> frozenset[str]:
    """The characters of a text besides Ethiopic letters and spaces; digits and the letters a to z count as one each."""
    signs = set(_SPECIAL.findall(text))
    if _DIGIT.search(text):
        signs.add(DIGIT)
    if _LATIN.search(text):
        signs.add(LATIN)
    return frozenset(signs)


@dataclass(frozen=True)
class Stage:
    """Rules that run one after the other, skipped when nothing in the text calls for them."""

    name: str
    rules: tuple[Rule, ...]
    signs: frozenset[str] | None = None
    """The stage runs only on texts with one of these signs (see `special_signs`); None runs it always."""
    words: tuple[str, ...] = ()
    """The stage also runs on a text that holds one of these strings."""
    ordinary: frozenset[str] | None = None
    """Signs that do not call for the stage; it runs on a text with any other."""
    takes: frozenset[str] | None = None
    """Signs that the stage leaves none of, for one that brings no new signs; None for a stage that may."""
    look: Look | None = None
    """Finds what the rules need; None takes the signs. A rule that brings a feature into being, which a later rule of
    the stage needs, belongs into a stage of its own before that rule."""
    _steps: tuple[Step, ...] = field(init=False, repr=False)
    _asked: frozenset[str] = field(init=False, repr=False)
    """Every feature that some rule needs."""
    _plans: dict[AbstractSet[str], tuple[Step, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        steps = tuple(
            (_needed(rule), getattr(rule, "words", ()), _runner(rule))
            for rule in merge_translations(self.rules)
        )
        object.__setattr__(self, "_steps", steps)
        object.__setattr__(self, "_asked", frozenset().union(*(step[0] for step in steps if step[0])))

    def apply(
        self, text: str, fired: list[FiredRule] | None = None, signs: frozenset[str] | None = None
    ) -> str:
        """The text after all rules of the stage; changes are appended to `fired`.

        Args:
            text: what the rules change.
            fired: takes what they did.
            signs: the text's `special_signs`, where the caller has them.
        """
        found = special_signs(text) if signs is None else signs
        if not self.may_run_on(found, text):
            return text
        features = self._asked.intersection(found if self.look is None else self.look(text, found))
        if fired is not None:
            return self._recorded(text, features, fired)
        plan = self._plans.get(features)
        for _needs, words, run in self._planned(features) if plan is None else plan:
            if words and not _holds_any(text, words):
                continue
            text = run(text)
        return text

    def may_run_on(self, signs: AbstractSet[str], text: str | None = None) -> bool:
        """True where a text with these signs calls for the stage; without a text, where some such text may."""
        if self.ordinary is not None:
            return not self.ordinary.issuperset(signs)
        if self.signs is None or not self.signs.isdisjoint(signs):
            return True
        return bool(self.words) if text is None else _holds_any(text, self.words)

    def _planned(self, features: frozenset[str]) -> tuple[Step, ...]:
        """The steps that a text with these features may need; texts are much alike, so that it is remembered."""
        plan = tuple(step for step in self._steps if step[0] is None or not step[0].isdisjoint(features))
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[features] = plan
        return plan

    def _recorded(self, text: str, features: AbstractSet[str], fired: list[FiredRule]) -> str:
        def record(rule: str, before: str, after: str) -> None:
            fired.append(FiredRule(self.name, rule, before, after))

        for rule in self.rules:
            needed, words = _needed(rule), getattr(rule, "words", ())
            if (needed is None or not needed.isdisjoint(features)) and (not words or _holds_any(text, words)):
                text = rule.apply(text, record)
        return text


_MOST_PLANS = 4096


def _runner(rule: Rule) -> Callable[[str], str]:
    """How a rule runs unrecorded; most need no more than their pattern."""
    if isinstance(rule, Substitution) and rule.guard is None:
        return partial(rule.pattern.sub, rule.replace)
    return rule.apply


def _needed(rule: Rule) -> frozenset[str] | None:
    return frozenset(getattr(rule, "needs", ())) or None


def _holds_any(text: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 - half the time of any()
        if word in text:
            return True
    return False


def merge_translations(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """One character table in the place of several neighbouring ones."""
    merged: list[Rule] = []
    for rule in rules:
        if isinstance(rule, Translation) and merged and isinstance(first := merged[-1], Translation):
            table = {code: text.translate(rule.table) for code, text in first.table.items()}
            table |= {code: text for code, text in rule.table.items() if code not in first.table}
            merged[-1] = Translation(f"{first.name}, {rule.name}", table)
        else:
            merged.append(rule)
    return tuple(merged)


def literal(
    name: str, pattern: str, replacement: str, *, needs: Iterable[str] = (), words: tuple[str, ...] = ()
) -> Substitution:
    """A substitution with a fixed replacement (no group references)."""
    return Substitution(name, re.compile(pattern), lambda _match: replacement, needs, words)
