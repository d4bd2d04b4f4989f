"""The best of some attempts: what went wrong is tried again with other seeds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from amtts_core.units import Seconds

logger = logging.getLogger(__name__)
SEED_STRIDE = 1_000_003
"""Between the seeds of two attempts."""


class Judged(Protocol):
    """An attempt."""

    @property
    def fault(self) -> str:
        """What is wrong with it, empty where nothing is."""
        ...

    @property
    def badness(self) -> tuple[float, Seconds]:
        """Smaller is better."""
        ...


T = TypeVar("T", bound=Judged)


def best_of(
    attempt: Callable[[Sequence[int], int], Sequence[T]],
    names: Sequence[str],
    *,
    retries: int,
    notes: Sequence[list[str] | None] = (),
) -> list[T]:
    """The best attempt at each item, the first of equal ones; what stays faulty is noted, or logged without notes.

    Args:
        attempt: numbers of items and what to add to their seeds -> an attempt at each.
        names: what the log calls each item.
        retries: further attempts at items whose best one has a fault.
        notes: receives the notes on each item; None logs them.
    """

    def tell(item: int, what: str) -> None:
        own = notes[item] if notes else None
        if own is None:
            logger.warning("%s: %s", names[item], what)
        else:
            own.append(what)

    best: dict[int, T] = {}
    waiting = list(range(len(names)))
    for number in range(retries + 1):
        for item, found in zip(waiting, attempt(waiting, SEED_STRIDE * number), strict=True):
            if item not in best or found.badness < best[item].badness:
                best[item] = found
            if number and not found.fault:
                tell(item, f"succeeded on attempt {number + 1}")
        waiting = [item for item in waiting if best[item].fault]
        if not waiting:
            break
    for item in waiting:
        tell(item, best[item].fault)
    return [best[item] for item in range(len(names))]
