"""Whether a transcript says what is recorded: words that are wrong, missing in the recording, or missing in the text.

A recognizer makes mistakes of its own, so a word is doubted only where most of it was recognized as something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from amtts_core.contract.recognizer import Emissions, FrameRecognizer
from amtts_core.evaluation.alignment import Symbols, free_path
from amtts_core.units import Seconds

WRONG_SHARE = 0.5
"""Share of a word's symbols that was recognized as others or not at all, from which on it is doubted."""
LEAST_WRONG = 2
"""Symbols; one wrong symbol is the recognizer's business."""
EXTRA = 4
"""Symbols recognized in a row that are not in the text, from which on a word is missing in it."""

Kind = Literal["wrong", "not recorded", "not in the text"]


@dataclass(frozen=True)
class Doubt:
    """One place where transcript and recording differ.

    Attributes:
        kind: "wrong" (another word was recorded), "not recorded", or "not in the text".
        word: of the text; the word before the place for "not in the text", empty at the start.
        index: of that word, -1 at the start.
        heard: what was recognized there.
        seconds: where it is in the recording; None where nothing of it was recognized.
    """

    kind: Kind
    word: str
    index: int
    heard: str
    seconds: Seconds | None


def doubts(emissions: Emissions, words: Sequence[str], recognizer: FrameRecognizer) -> list[Doubt]:
    """Places of a normalized text, given as words, where something else is recorded."""
    from rapidfuzz.distance import Levenshtein

    symbols = Symbols.of(words, recognizer)
    heard, frames = free_path(emissions, recognizer)
    wrong = [0] * len(words)
    missing = [0] * len(words)
    place_of: dict[int, list[int]] = {}
    found: list[Doubt] = []
    for block in Levenshtein.opcodes(heard, symbols.ids):
        for place in symbols.word_index[block.dest_start : block.dest_end]:
            place_of.setdefault(place, []).extend(range(block.src_start, block.src_end))
            wrong[place] += block.tag in ("replace", "insert")
            missing[place] += block.tag == "insert"  # rapidfuzz edits the first sequence into the second
        if block.tag == "delete" and block.src_end - block.src_start >= EXTRA:
            before = symbols.word_index[block.dest_start - 1] if block.dest_start else -1
            text = recognizer.text_of(heard[block.src_start : block.src_end])
            at: Seconds | None = frames[block.src_start] * emissions.frame_seconds
            found.append(Doubt("not in the text", words[before] if before >= 0 else "", before, text, at))
    sizes = [symbols.word_index.count(number) for number in range(len(words))]
    for number, word in enumerate(words):
        if sizes[number] and wrong[number] >= max(LEAST_WRONG, WRONG_SHARE * sizes[number]):
            span = sorted(set(place_of.get(number, [])))
            gone = missing[number] >= sizes[number] - 1
            text = recognizer.text_of([heard[n] for n in span])
            at = frames[span[0]] * emissions.frame_seconds if span else None
            found.append(Doubt("not recorded" if gone else "wrong", word, number, text, at))
    return sorted(found, key=lambda doubt: doubt.index)
