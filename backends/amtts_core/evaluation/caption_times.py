"""Where the words of a caption begin and end in its recording, by CTC alignment: captions are seldom exact."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence

import numpy as np

from amtts_core.audio.io import decode, resample
from amtts_core.contract.recognizer import Emissions, FrameRecognizer
from amtts_core.corpus.importers.base import Caption, Recording
from amtts_core.errors import AmttsError
from amtts_core.evaluation.alignment import WordTime, align_emissions
from amtts_core.evaluation.text_errors import text_errors
from amtts_core.units import Seconds

_log = logging.getLogger(__name__)
REACH: Seconds = 1.0
"""Sound before and after a caption in which its words are looked for."""
MAX_CER = 0.4
"""Share of a caption's letters that may be recognized otherwise; above, its times stay as they are."""
TOGETHER = 16
"""Captions that are recognized in one batch."""


class CaptionTimes:
    """Finds the words of captions; a callable for `ReadOptions.word_times`.

    Args:
        recognizer: tells frames.
        normalize: a caption's text as it is read aloud.
        language: of the text.
    """

    def __init__(
        self, recognizer: FrameRecognizer, normalize: Callable[[str], str], *, language: str = "am"
    ) -> None:
        self._recognizer = recognizer
        self._normalize = normalize
        self._language = language

    def __call__(
        self, recording: Recording, captions: Sequence[Caption]
    ) -> list[tuple[Seconds, Seconds] | None]:
        """Start of the first and end of the last word of each caption; None where they are not surely there."""
        found: list[tuple[Seconds, Seconds] | None] = []
        waiting = iter(captions)
        while batch := list(itertools.islice(waiting, TOGETHER)):
            starts = [max(0.0, start - REACH) for _, start, _ in batch]
            ends = [min(recording.duration, end + REACH) for _, _, end in batch]
            waves = [self._part(recording, *window) for window in zip(starts, ends, strict=True)]
            read = zip(batch, starts, self._recognizer.emissions(waves), waves, strict=True)
            for (text, _, _), begin, emissions, wave in read:
                span = self._span(text, emissions, wave)
                found.append((span[0] + begin, span[1] + begin) if span else None)
        known = sum(span is not None for span in found)
        _log.info("%s: words of %d of %d sentences found", recording.path.name, known, len(found))
        return found

    def _part(self, recording: Recording, start: Seconds, end: Seconds) -> np.ndarray:
        sound = decode(
            recording.path,
            start=start,
            duration=max(0.0, end - start),
            channel=recording.channel,
            track=recording.track,
        )
        return resample(sound.samples, sound.sample_rate, self._recognizer.sample_rate)

    def _span(self, text: str, emissions: Emissions, wave: np.ndarray) -> tuple[Seconds, Seconds] | None:
        words = self._normalize(text).split()
        try:
            alignment = align_emissions(emissions, words, self._recognizer)
        except AmttsError:  # not a letter that the recognizer knows
            return None
        if not alignment.words or alignment.missing:
            return None
        first, last = alignment.words[0], alignment.words[-1]
        return (first.start, last.end) if self._reads(words, first, last, wave) else None

    def _reads(self, words: Sequence[str], first: WordTime, last: WordTime, wave: np.ndarray) -> bool:
        """Whether these words are recognized where they were placed."""
        rate = self._recognizer.sample_rate
        part = wave[max(0, round((first.start - 0.05) * rate)) : round((last.end + 0.05) * rate)]
        said = self._recognizer.transcribe([part])[0].text
        return text_errors(" ".join(words), said, language=self._language).cer.rate <= MAX_CER
