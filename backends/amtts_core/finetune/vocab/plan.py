"""Which row of a resized table comes from where: decided by token strings alone, before any tensor is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amtts_core.tokenizers.published.vocabulary import size_of

NEW = -1
"""In `RowPlan.sources`: the row is new."""


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """Where each new row comes from.

    Attributes:
        sources: new id -> old id, or `NEW`.
        kept: tokens whose id is the same, with the id.
        moved: tokens whose id changed, with the old and the new one.
        new: tokens without an old row, with the new id.
        dropped: old tokens without a new id, with the old id.
        old_size: tokens of the old vocabulary.
    """

    sources: tuple[int, ...]
    kept: dict[str, int]
    moved: dict[str, tuple[int, int]]
    new: dict[str, int]
    dropped: dict[str, int]
    old_size: int

    @property
    def new_size(self) -> int:
        """Tokens of the new vocabulary."""
        return len(self.sources)

    def counts(self) -> dict[str, int]:
        """How many tokens were kept, moved, made and dropped."""
        return {
            "kept": len(self.kept),
            "moved": len(self.moved),
            "new": len(self.new),
            "dropped": len(self.dropped),
        }

    def to_json(self) -> dict[str, Any]:
        """Everything that is not plainly kept, by name."""
        return {
            **self.counts(),
            "old_size": self.old_size,
            "new_size": self.new_size,
            "moved_tokens": {name: list(ids) for name, ids in self.moved.items()},
            "new_tokens": self.new,
            "dropped_tokens": self.dropped,
        }


def plan_rows(
    old_vocab: Mapping[str, int],
    new_vocab: Mapping[str, int],
    *,
    old_size: int = 0,
    new_size: int = 0,
    same_as: Mapping[str, str] | None = None,
) -> RowPlan:
    """The plan from one vocabulary to another.

    An id without a token (a gap, or rows beyond the last token) is a row of its own, named by its number.

    Args:
        old_vocab: token string -> id of the old table.
        new_vocab: token string -> id of the new one.
        old_size: tokens of the old table; 0 takes one more than the highest id.
        new_size: likewise of the new one.
        same_as: new token -> old token whose row it takes.

    Raises:
        ValueError: an id does not fit its size, or two tokens share one.
    """
    old = _complete(old_vocab, old_size or size_of(dict(old_vocab)))
    new = _complete(new_vocab, new_size or size_of(dict(new_vocab)))
    aliases = dict(same_as or {})
    sources = [NEW] * len(new)
    kept: dict[str, int] = {}
    moved: dict[str, tuple[int, int]] = {}
    fresh: dict[str, int] = {}
    for name, number in sorted(new.items(), key=lambda item: item[1]):
        origin = old.get(aliases.get(name, name), NEW)
        sources[number] = origin
        if origin == NEW:
            fresh[name] = number
        elif origin == number:
            kept[name] = number
        else:
            moved[name] = (origin, number)
    used = set(sources)
    dropped = {name: number for name, number in old.items() if number not in used}
    return RowPlan(
        sources=tuple(sources), kept=kept, moved=moved, new=fresh, dropped=dropped, old_size=len(old)
    )


def _complete(vocabulary: Mapping[str, int], size: int) -> dict[str, int]:
    names: dict[int, str] = {}
    for name, number in vocabulary.items():
        if not 0 <= number < size:
            raise ValueError(f"token {name!r} has id {number}, the table {size} rows")
        if number in names:
            raise ValueError(f"tokens {names[number]!r} and {name!r} share id {number}")
        names[number] = name
    return {names.get(number, f"\0row {number}"): number for number in range(size)}
