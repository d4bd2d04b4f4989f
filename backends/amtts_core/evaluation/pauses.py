"""What an alignment shows of speech: pauses at punctuation, sound after the last word, length of long consonants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from amtts_core.evaluation.alignment import LetterTime, WordTime
from amtts_core.evaluation.signal import FRAME, sounding
from amtts_core.units import Hertz, Seconds

SENTENCE_MARKS = "።?!፧"
CLAUSE_MARKS = "፣፤፥፦"
SETTLE = 0.15
"""Seconds after the last word that are its decay."""
GEMINATION_MARK = "\u135f"
Length = Literal["long", "short", ""]
"""A consonant marked as long, another consonant, or no consonant."""


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


def gemination_ratio(words: Sequence[WordTime], lengths: Sequence[Sequence[Length]]) -> dict[str, float]:
    """Mean length of the consonants marked as long over that of the others of the utterance.

    Which consonants these are is a matter of the text, so only figures of one text can be compared.

    Args:
        words: with times of symbols.
        lengths: for each word, for each symbol, what it is.

    Returns:
        `gemination_ratio`; empty without a long or without another consonant.
    """
    found: dict[Length, list[float]] = {"long": [], "short": [], "": []}
    for word, kinds in zip(words, lengths, strict=True):
        for place, kind in enumerate(kinds):
            found[kind].append(_between_neighbors(word.symbols, place))
    if not found["long"] or not found["short"]:
        return {}
    return {"gemination_ratio": float(np.mean(found["long"]) / np.mean(found["short"]))}


def _between_neighbors(symbols: Sequence[LetterTime], place: int) -> Seconds:
    """Seconds from the end of the symbol before to the start of the one after: silence of a closure counts."""
    start = symbols[place - 1].end if place else symbols[place].start
    end = symbols[place + 1].start if place + 1 < len(symbols) else symbols[place].end
    return max(0.0, end - start)
