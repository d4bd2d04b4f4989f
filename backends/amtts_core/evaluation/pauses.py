"""What an alignment tells of speech: pauses at punctuation, sound after the last word, length of long consonants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amtts_core.evaluation.alignment import WordTime
from amtts_core.evaluation.signal import FRAME, sounding
from amtts_core.units import Hertz

SENTENCE_MARKS = "።?!፧"
CLAUSE_MARKS = "፣፤፥፦"
SETTLE = 0.15
"""Seconds after the last word that are its decay."""
GEMINATION_MARK = "\u135f"
LEAST_CONSONANTS = 3
"""Long consonants that a ratio needs."""


def pause_figures(words: Sequence[WordTime], waveform: np.ndarray, rate: Hertz) -> dict[str, float]:
    """Mean silence in seconds at clause and at sentence marks inside the text; absent where there is none."""
    silent = ~sounding(waveform, rate)
    found: dict[str, list[float]] = {"pause_clause": [], "pause_sentence": [], "pause_elsewhere": []}
    for word, following in zip(words, words[1:], strict=False):
        last = word.word.rstrip("»”\"')]")[-1:]
        kind = "clause" if last in CLAUSE_MARKS else "sentence" if last in SENTENCE_MARKS else "elsewhere"
        first, end = (
            round((word.start + word.end) / 2 / FRAME),
            round((following.start + following.end) / 2 / FRAME),
        )
        found[f"pause_{kind}"].append(_longest_run(silent[first:end]) * FRAME)
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def sound_around(words: Sequence[WordTime], waveform: np.ndarray, rate: Hertz) -> dict[str, float]:
    """Seconds of sound before the first word and after the last one."""
    sound = sounding(waveform, rate)
    first, last = round((words[0].start - SETTLE) / FRAME), round((words[-1].end + SETTLE) / FRAME)
    return {
        "sound_before": float(sound[: max(0, first)].sum()) * FRAME,
        "sound_after": float(sound[last:].sum()) * FRAME,
    }


def gemination_ratio(words: Sequence[WordTime], marked: Sequence[Sequence[bool]]) -> dict[str, float]:
    """Mean length of consonants marked as long over that of the same consonants unmarked.

    Args:
        words: with times of symbols; a consonant symbol is one of two of a letter.
        marked: for each word, for each symbol, whether it is a consonant marked as long.

    Returns:
        `gemination_ratio`; empty with fewer than `LEAST_CONSONANTS` long ones that also occur short.
    """
    long: dict[int, list[float]] = {}
    short: dict[int, list[float]] = {}
    for word, flags in zip(words, marked, strict=True):
        for letter, is_long in zip(word.symbols, flags, strict=True):
            (long if is_long else short).setdefault(letter.symbol, []).append(letter.end - letter.start)
    pairs = [(values, short[symbol]) for symbol, values in long.items() if symbol in short]
    if sum(len(values) for values, _ in pairs) < LEAST_CONSONANTS:
        return {}
    return {"gemination_ratio": float(np.mean([np.mean(a) / np.mean(b) for a, b in pairs]))}
