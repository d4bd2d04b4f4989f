"""Which spoken words stand for which written ones: a normalized text beside the text as its author wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_BETWEEN = re.compile(r"\s+|፡(?=[^\W\d])")
"""Spaces, and the Ethiopic word space where a letter follows; in a time or a full stop it stays."""


@dataclass(frozen=True)
class WrittenWord:
    """A written word, or several that are read together.

    Attributes:
        text: as written.
        first, last: the spoken words that stand for it, the number of the first and one after that of the last.
    """

    text: str
    first: int
    last: int


def match_written(written: str, spoken: Sequence[str], normalize: Callable[[str], str]) -> list[WrittenWord]:
    """The written words in order; every spoken word belongs to one of them.

    Each written word is normalized by itself. Where that is not what is said (a unit behind its number, a currency
    before it), the words between two that agree stay together. A written word that is not said stays with a neighbor.

    Args:
        written: as written, without markup.
        spoken: words of its normalization.
        normalize: of one word.
    """
    tokens = [token for token in _BETWEEN.split(written) if token]
    if not tokens or not spoken:
        return []
    expected = [
        (_bare(word), number) for number, token in enumerate(tokens) for word in normalize(token).split()
    ]
    owners = _owners(expected, [_bare(word) for word in spoken])
    return [
        WrittenWord(" ".join(tokens[start:end]), first, last)
        for (start, end), (first, last) in _groups(owners, len(tokens), tokens)
    ]


def _bare(word: str) -> str:
    return "".join(character for character in word if character.isalnum())


def _owners(expected: Sequence[tuple[str, int]], spoken: Sequence[str]) -> list[tuple[int, int]]:
    """For each spoken word the first and the last written word that it may stand for."""
    owners: list[tuple[int, int]] = []
    matcher = SequenceMatcher(None, [word for word, _ in expected], spoken, autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            owners += [(number, number) for _, number in expected[start:end]]
        elif kind == "replace":
            owners += [(expected[start][1], expected[end - 1][1])] * (last - first)
        elif kind == "insert":
            number = expected[max(0, start - 1)][1] if expected else 0
            owners += [(number, number)] * (last - first)
    return owners


def _groups(
    owners: Sequence[tuple[int, int]], count: int, tokens: Sequence[str]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Runs of written words with the runs of spoken words that belong to them, in order and without gaps."""
    groups: list[list[int]] = []  # first written, last written, first spoken, one after the last spoken
    for place, (first, last) in enumerate(owners):
        if groups and first <= groups[-1][1]:
            groups[-1][1] = max(groups[-1][1], last)
            groups[-1][3] = place + 1
        else:
            groups.append([first, last, place, place + 1])
    start = 0
    for number, group in enumerate(groups):
        silent = next((t for t in range(start, group[0]) if _bare(tokens[t])), group[0])
        if number:
            groups[number - 1][1] = max(groups[number - 1][1], silent - 1)
            group[0] = silent
        else:
            group[0] = 0
        start = group[1] + 1
    groups[-1][1] = count - 1
    return [((first, last + 1), (begin, end)) for first, last, begin, end in groups]
