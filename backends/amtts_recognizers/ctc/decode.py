"""Symbols from frames: the most probable path with repeats and blanks taken out."""

from __future__ import annotations

from collections.abc import Sequence


def collapsed(path: Sequence[int], *, blank: int) -> list[int]:
    """Symbols of a path of frames: repeats count once, blanks not at all."""
    return [
        symbol
        for place, symbol in enumerate(path)
        if symbol != blank and (not place or symbol != path[place - 1])
    ]
