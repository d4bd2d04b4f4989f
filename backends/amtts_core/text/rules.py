"""Rules and stages: what a language pack is made of. Knows how a rule runs and is recorded, no language.

A rule has two speeds: `apply(text)` for corpora, `apply(text, record)` for `--explain`, which reports each change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    needs: str = ""
    """A text without any of these characters is passed over without running the pattern."""

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        for mark in self.needs:
            if mark in text:
                break
        else:
            if self.needs:
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

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        after = self.function(text)
        if record is not None and after != text:
            record(self.name, text, after)
        return after


@dataclass(frozen=True)
class Stage:
    """Rules that run one after the other, skipped when nothing in the text calls for them."""

    name: str
    rules: tuple[Rule, ...]
    trigger: re.Pattern[str] | None = None
    """The stage runs only on texts in which this is found; None runs it always."""
    fast: tuple[Rule, ...] = field(init=False, repr=False)
    """The same rules with neighbouring character tables made one, for runs that record nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fast", merge_translations(self.rules))

    def apply(self, text: str, fired: list[FiredRule] | None = None) -> str:
        """The text after all rules of the stage; changes are appended to `fired`."""
        if self.trigger is not None and not self.trigger.search(text):
            return text
        if fired is None:
            for rule in self.fast:
                text = rule.apply(text)
            return text

        def record(rule: str, before: str, after: str) -> None:
            fired.append(FiredRule(self.name, rule, before, after))

        for rule in self.rules:
            text = rule.apply(text, record)
        return text


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


def literal(name: str, pattern: str, replacement: str, *, needs: str = "") -> Substitution:
    """A substitution with a fixed replacement (no group references)."""
    return Substitution(name, re.compile(pattern), lambda _match: replacement, needs)
