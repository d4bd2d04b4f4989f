"""Word times of speech whose text is known, for captions beside it, in normalized words or in the author's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from amtts_core.contract.recognizer import FrameRecognizer
from amtts_core.evaluation.alignment import WordTime, align_text
from amtts_core.evaluation.subtitle_files import Caption
from amtts_core.evaluation.systems import at_rate
from amtts_core.text.written_words import WrittenWord, match_written
from amtts_core.units import Hertz


def word_captions(recognizer: FrameRecognizer, waveform: np.ndarray, rate: Hertz, text: str) -> list[Caption]:
    """One caption a word of a normalized text, in order; words that were not found are left out.

    Raises:
        AmttsError: no word has a letter that the recognizer knows.
    """
    found = align_text(recognizer, at_rate(waveform, rate, recognizer.sample_rate), text)
    return [Caption(word.word, word.start, word.end) for word in found.words]


def written_captions(
    recognizer: FrameRecognizer,
    waveform: np.ndarray,
    rate: Hertz,
    *,
    written: str,
    spoken: str,
    normalize: Callable[[str], str],
) -> list[Caption]:
    """One caption a written word, from the first to the last of the words that are said for it.

    Args:
        recognizer: one that gives probabilities of every frame.
        waveform: (T,) float32.
        rate: Hz.
        written: the text as its author wrote it, without markup.
        spoken: the same, normalized.
        normalize: of one written word.

    Raises:
        AmttsError: as `word_captions`.
    """
    words = spoken.split()
    found = align_text(recognizer, at_rate(waveform, rate, recognizer.sample_rate), spoken)
    times = {word.index: word for word in found.words}
    return list(_written(times, match_written(written, words, normalize), words))


def _written(
    times: Mapping[int, WordTime], matched: Sequence[WrittenWord], spoken: Sequence[str]
) -> Iterator[Caption]:
    for word in matched:
        found = [times[number] for number in range(word.first, word.last) if number in times]
        if found:
            said = " ".join(spoken[word.first : word.last])
            yield Caption(word.text, found[0].start, found[-1].end, "" if said == word.text else said)
