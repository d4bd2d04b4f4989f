"""Word and letter times of a recording whose text is known, also of an hour at once.

A long recording is first recognized freely. Where recognition and text agree over several symbols, the recording is cut
between two words; the pieces are aligned one by one, so time and memory grow with the length and not with its square.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from amtts_core.contract.recognizer import Emissions, FrameRecognizer
from amtts_core.errors import AmttsError
from amtts_core.evaluation.forced_alignment import Span, viterbi_spans
from amtts_core.units import Seconds

AGREE = 4
"""Symbols on both sides of a cut in which recognition and text have to agree."""
UNSAID = 12
"""Symbols of the text in a row of which nothing was recognized: these words are not in the recording."""
PIECE = 15.0
"""Seconds from which on a piece is cut off."""
GROWTH = 0.8
"""Frames by which a symbol is longer, at each end, than the frames in which it is the most probable one."""
MOST_CELLS = 60_000_000
"""Frames times symbols of one piece; more means that text and recording do not belong together there."""


@dataclass(frozen=True)
class LetterTime:
    """Times of one symbol of a word, seconds."""

    symbol: int
    start: Seconds
    end: Seconds


@dataclass(frozen=True)
class WordTime:
    """Times of one word.

    Attributes:
        word: as in the text.
        index: of the word in the text.
        start, end: seconds.
        confidence: mean probability of its symbols, 0 to 1.
        symbols: times of the symbols.
    """

    word: str
    index: int
    start: Seconds
    end: Seconds
    confidence: float
    symbols: list[LetterTime] = field(default_factory=list)


@dataclass(frozen=True)
class Alignment:
    """Words in order; those that were not found stand in `missing` by their index.

    Words without a letter are in neither.
    """

    words: list[WordTime]
    missing: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Symbols:
    """Symbols of a text: ids, the index of the word of each, and the words."""

    ids: list[int]
    word_index: list[int]
    words: list[str]

    @classmethod
    def of(cls, words: Sequence[str], recognizer: FrameRecognizer) -> Symbols:
        ids: list[int] = []
        word_index: list[int] = []
        for number, word in enumerate(words):
            known = recognizer.symbol_ids(word)
            ids += known
            word_index += [number] * len(known)
        return cls(ids, word_index, list(words))

    def without(self, words: Collection[int]) -> Symbols:
        """The symbols of the other words; indices of words stay as they are."""
        kept = [place for place, word_index in enumerate(self.word_index) if word_index not in words]
        return Symbols([self.ids[p] for p in kept], [self.word_index[p] for p in kept], self.words)


def align_text(recognizer: FrameRecognizer, waveform: np.ndarray, text: str) -> Alignment:
    """Times of the words of a normalized text.

    Args:
        recognizer: one that gives probabilities of every frame.
        waveform: (T,) float32 at its rate.
        text: words with spaces between them, normalized; punctuation belongs to the word before it.

    Raises:
        AmttsError: no word has a symbol that the recognizer knows.
    """
    return align_emissions(recognizer.emissions([waveform])[0], text.split(), recognizer)


def align_emissions(emissions: Emissions, words: Sequence[str], recognizer: FrameRecognizer) -> Alignment:
    """As `align_text`, from what the recognizer says of every frame."""
    symbols = Symbols.of(words, recognizer)
    if not symbols.ids:
        raise AmttsError(
            f"no word of {' '.join(words)[:40]!r} has a letter that recognizer '{recognizer.name}' knows"
        )
    everything, pieces = symbols, iter([_Piece(0, len(emissions.log_probs), 0, len(symbols.ids))])
    if len(emissions.log_probs) * emissions.frame_seconds > 2 * PIECE:
        recognized = _Recognized(emissions, recognizer)
        symbols = symbols.without(recognized.unsaid(symbols))
        pieces = _cut(emissions, symbols, recognized)
    spans: dict[int, Span] = {}
    for piece in pieces:
        if piece.frames * (piece.last - piece.first) > MOST_CELLS:
            continue
        found = viterbi_spans(
            emissions.log_probs[piece.start : piece.end],
            symbols.ids[piece.first : piece.last],
            blank=emissions.blank,
            open_ends=True,
        )
        for place, span in enumerate(found or []):
            spans[piece.first + place] = Span(
                span.start + piece.start, span.end + piece.start, span.confidence
            )
    found_words = _words(spans, symbols, emissions.frame_seconds, len(emissions.log_probs))
    unsaid = set(everything.word_index) - set(symbols.word_index)
    return replace(found_words, missing=sorted({*found_words.missing, *unsaid}))


@dataclass(frozen=True)
class _Piece:
    """Frames `start` to `end` say symbols `first` to `last`."""

    start: int
    end: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        return self.end - self.start


def _cut(emissions: Emissions, symbols: Symbols, recognized: _Recognized) -> Iterator[_Piece]:
    total, count = len(emissions.log_probs), len(symbols.ids)
    start = first = 0
    for frame, place in recognized.agreements(symbols):
        if (frame - start) * emissions.frame_seconds >= PIECE:
            yield _Piece(start, frame, first, place)
            start, first = frame, place
    yield _Piece(start, total, first, count)


class _Recognized:
    """What was recognized freely, and how it agrees with a text."""

    def __init__(self, emissions: Emissions, recognizer: FrameRecognizer) -> None:
        self._symbols, self._frames = free_path(emissions, recognizer)

    def unsaid(self, symbols: Symbols) -> set[int]:
        """Words of long stretches of the text of which nothing was recognized."""
        from rapidfuzz.distance import Levenshtein

        gone: list[int] = []
        for block in Levenshtein.opcodes(self._symbols, symbols.ids):
            if block.tag == "insert" and block.dest_end - block.dest_start >= UNSAID:
                gone += range(block.dest_start, block.dest_end)
        missing = Counter(symbols.word_index[place] for place in gone)
        sizes = Counter(symbols.word_index)
        return {word for word, count in missing.items() if count == sizes[word]}

    def agreements(self, symbols: Symbols) -> Iterator[tuple[int, int]]:
        """(frame, index of a word's first symbol) wherever both agree around the start of a word."""
        from rapidfuzz.distance import Levenshtein

        frames = self._frames
        for block in Levenshtein.opcodes(self._symbols, symbols.ids):
            if block.tag != "equal":
                continue
            for step in range(AGREE, block.dest_end - block.dest_start - AGREE + 1):
                place = block.dest_start + step
                if symbols.word_index[place] != symbols.word_index[place - 1]:
                    said = block.src_start + step
                    yield (frames[said - 1] + frames[said] + 1) // 2, place


def free_path(emissions: Emissions, recognizer: FrameRecognizer) -> tuple[list[int], list[int]]:
    """Symbols of the most probable path without a text, and the middle frame of each."""
    best = np.array(recognizer.best_path(emissions))
    if not len(best):
        return [], []
    edges = np.flatnonzero(np.diff(best)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(best)]])
    said = [
        (int(best[a]), int(a + b) // 2)
        for a, b in zip(starts, ends, strict=True)
        if best[a] != emissions.blank
    ]
    return [symbol for symbol, _ in said], [frame for _, frame in said]


def _words(spans: dict[int, Span], symbols: Symbols, step: Seconds, frames: int) -> Alignment:
    by_word: dict[int, list[int]] = {}
    for place, word_index in enumerate(symbols.word_index):
        by_word.setdefault(word_index, []).append(place)
    placed = {word_index: places for word_index, places in by_word.items() if all(p in spans for p in places)}
    missing = [word_index for word_index in by_word if word_index not in placed]
    edges = _edges(spans, frames)
    words = []
    for word_index in sorted(placed):
        letters = [
            LetterTime(symbols.ids[p], edges[p][0] * step, edges[p][1] * step) for p in placed[word_index]
        ]
        confidence = float(np.mean([spans[p].confidence for p in placed[word_index]]))
        words.append(
            WordTime(
                symbols.words[word_index], word_index, letters[0].start, letters[-1].end, confidence, letters
            )
        )
    return Alignment(words, missing)


def _edges(spans: dict[int, Span], frames: int) -> dict[int, tuple[float, float]]:
    """Start and end of every symbol in frames.

    A model is sure of a sound a little after it begins and until a little before it ends, so each span grows by
    `GROWTH` at both ends, and neighbors closer than that meet in the middle.
    """
    places = sorted(spans)
    out = {}
    for number, place in enumerate(places):
        span = spans[place]
        before = spans[places[number - 1]].end if number else -2 * GROWTH
        after = spans[places[number + 1]].start if number + 1 < len(places) else frames + 2 * GROWTH
        start = span.start - min(GROWTH, (span.start - before) / 2)
        end = span.end + min(GROWTH, (after - span.end) / 2)
        out[place] = (max(0.0, start), min(float(frames), end))
    return out
