"""Symbols from frames: the most probable path, with repeats and blanks taken out.

Where a letter is written with a consonant and a vowel symbol (the `fidel` tokenizer), only paths count in which every
consonant is followed by a vowel. That is no language model: it knows the spelling of letters and nothing of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amtts_core.contract.tokenizer import TextTokenizer

NEVER = -1e30


def collapsed(path: Sequence[int], *, blank: int) -> list[int]:
    """Symbols of a path of frames: repeats count once, blanks not at all."""
    return [
        symbol
        for place, symbol in enumerate(path)
        if symbol != blank and (not place or symbol != path[place - 1])
    ]


@dataclass(frozen=True)
class Spelling:
    """Which symbols are halves of a letter.

    Attributes:
        consonants: (V,) bool; each has to be followed by a vowel.
        vowels: (V,) bool; each follows a consonant, or without a blank between another vowel symbol.
    """

    consonants: np.ndarray
    vowels: np.ndarray

    @classmethod
    def of(cls, tokenizer: TextTokenizer) -> Spelling | None:
        """The spelling of a tokenizer; None where its symbols are whole letters or longer."""
        symbols = tokenizer.symbols()
        vowels = np.array([len(symbol) > 1 and symbol.startswith("+") for symbol in symbols])
        if not vowels.any():
            return None
        consonants = np.array([len(symbol) == 1 and "\u1200" <= symbol <= "\ufffd" for symbol in symbols])
        letters = np.array([len(symbol) == 1 and symbol.isalpha() for symbol in symbols])
        return cls(consonants & letters, vowels)


def best_path(log_probs: np.ndarray, spelling: Spelling | None, *, blank: int) -> list[int]:
    """The most probable path of symbols, one a frame.

    Args:
        log_probs: (L, V) natural log.
        spelling: paths that break it do not count; None lets all count.
        blank: id of the blank. After a consonant it waits for the vowel.
    """
    if spelling is None or not len(log_probs):
        return [int(symbol) for symbol in log_probs.argmax(1)]
    frames, size = log_probs.shape
    waiting = size  # one more state: the blank between a consonant and its vowel
    consonants = np.flatnonzero(spelling.consonants)
    vowels = np.flatnonzero(spelling.vowels)
    free = np.flatnonzero(~spelling.consonants & ~spelling.vowels & (np.arange(size) != blank))
    emitted = np.concatenate([log_probs, log_probs[:, blank : blank + 1]], axis=1)
    best = np.full(size + 1, NEVER)
    starts = np.concatenate([consonants, free, [blank]])
    best[starts] = emitted[0, starts]
    back = np.zeros((frames, size + 1), dtype=np.int32)
    own = np.arange(size + 1)
    closed = np.concatenate([vowels, free])  # a letter is complete after these
    for frame in range(1, frames):
        chosen, source = best.copy(), own.copy()
        ready = int(closed[best[closed].argmax()])
        from_ready = ready if best[ready] > best[blank] else blank
        open_letter = int(consonants[best[consonants].argmax()])
        from_open = open_letter if best[open_letter] > best[waiting] else waiting
        last_vowel = int(vowels[best[vowels].argmax()])
        for targets, origin in (
            (np.concatenate([consonants, free]), from_ready),
            (np.array([blank]), ready),
            (np.array([waiting]), open_letter),
            (vowels, from_open),
            (vowels, last_vowel),
        ):
            better = (best[origin] > chosen[targets]) & (targets != origin)
            chosen[targets[better]], source[targets[better]] = best[origin], origin
        best, back[frame] = chosen + emitted[frame], source
    ends = np.concatenate([closed, [blank]])
    state = int(ends[best[ends].argmax()])
    path = []
    for frame in range(frames - 1, -1, -1):
        path.append(blank if state == waiting else state)
        state = int(back[frame, state])
    return path[::-1]
