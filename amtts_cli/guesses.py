"""How commands warn of words that the normalizer read by guess."""

from __future__ import annotations

from collections import Counter

from amtts_cli import console

_SHOWN = 20


def listed(counts: Counter[str]) -> str:
    """The commonest items with their counts, and how many more there are."""
    shown = ", ".join(f"{item} {count}" for item, count in counts.most_common(_SHOWN))
    return shown + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")


def warn_of_guesses(guesses: Counter[str]) -> None:
    """Names the words and what mends them, where there are any."""
    if guesses:
        console.warn(f"read by guess: {listed(guesses)}; --lexicon FILE takes readings of your own")
