"""Which token of an extended vocabulary has which old id: decided by token strings alone, before tensors are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amtts_core.tokenizers.published.vocabulary import size_of

NEW = -1
"""In `TokenPlan.sources`: the token is new."""


@dataclass(frozen=True, kw_only=True)
class TokenPlan:
    """The old id of each token of the new vocabulary, whose embedding it keeps.

    Attributes:
        sources: new id -> old id, or `NEW`.
        kept: tokens whose id is the same, with the id.
        moved: tokens whose id changed, with the old and the new one.
        new: tokens without an old id, with the new id.
        dropped: old tokens without a new id, with the old id.
        old_size: number of tokens of the old vocabulary.
    """

    sources: tuple[int, ...]
    kept: dict[str, int]
    moved: dict[str, tuple[int, int]]
    new: dict[str, int]
    dropped: dict[str, int]
    old_size: int

    @property
    def new_size(self) -> int:
        """Number of tokens of the new vocabulary."""
        return len(self.sources)

    def counts(self) -> dict[str, int]:
        """Number of tokens that are kept, moved, new and dropped."""
        return {
            "kept": len(self.kept),
            "moved": len(self.moved),
            "new": len(self.new),
            "dropped": len(self.dropped),
        }

    def to_json(self) -> dict[str, Any]:
        """The numbers, and every token that is not kept with its id."""
        return {
            **self.counts(),
            "old_size": self.old_size,
            "new_size": self.new_size,
            "moved_tokens": {name: list(ids) for name, ids in self.moved.items()},
            "new_tokens": self.new,
            "dropped_tokens": self.dropped,
        }


def plan_tokens(
    old_vocab: Mapping[str, int],
    new_vocab: Mapping[str, int],
    *,
    old_size: int = 0,
    new_size: int = 0,
    same_as: Mapping[str, str] | None = None,
) -> TokenPlan:
    """The plan from one vocabulary to another.

    An id without a token (a gap, or an id behind the last token) counts as a token that is named by its number.

    Args:
        old_vocab: token string -> id of the old vocabulary.
        new_vocab: token string -> id of the new one.
        old_size: number of embeddings of the old network; 0 takes one more than the highest id.
        new_size: likewise of the new one.
        same_as: new token -> old token whose embedding it copies.

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
    return TokenPlan(
        sources=tuple(sources), kept=kept, moved=moved, new=fresh, dropped=dropped, old_size=len(old)
    )


def _complete(vocabulary: Mapping[str, int], size: int) -> dict[str, int]:
    names: dict[int, str] = {}
    for name, number in vocabulary.items():
        if not 0 <= number < size:
            raise ValueError(f"token {name!r} has id {number}, the network {size} embeddings")
        if number in names:
            raise ValueError(f"tokens {names[number]!r} and {name!r} share id {number}")
        names[number] = name
    return {names.get(number, f"\0row {number}"): number for number in range(size)}
