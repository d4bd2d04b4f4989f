"""Where the words of a caption begin and end in its recording, by CTC alignment: captions are seldom exact."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from amtts_core.audio.io import decode, resample
from amtts_core.contract.recognizer import Emissions, FrameRecognizer
from amtts_core.corpus.importers.base import Caption, Recording
from amtts_core.errors import AmttsError
from amtts_core.evaluation.alignment import WordTime, align_emissions
from amtts_core.evaluation.cache import ScoreCache, content_key
from amtts_core.evaluation.text_errors import text_errors
from amtts_core.units import Seconds

_log = logging.getLogger(__name__)
REACH: Seconds = 1.0
"""Sound before and after a caption in which its words are looked for."""
MAX_CER = 0.4
"""Share of a caption's letters that may be recognized otherwise; above, its times stay as they are."""
VERSION = "caption 1"
"""Of the times; another one makes those that are kept anew."""
TOGETHER = 16
"""Captions that are recognized in one batch."""


class CaptionTimes:
    """Finds the words of captions; a callable for `ReadOptions.word_times`.

    Args:
        recognizer: one that gives probabilities of every frame.
        normalize: a caption's text as it is read aloud.
        language: of the text.
        cache: file with what was found before, by content; `save` adds what is new.
    """

    def __init__(
        self,
        recognizer: FrameRecognizer,
        normalize: Callable[[str], str],
        *,
        language: str = "am",
        cache: Path | None = None,
    ) -> None:
        self._recognizer = recognizer
        self._normalize = normalize
        self._language = language
        self._cache = cache
        self._new: dict[str, list[Seconds]] = {}

    def __call__(
        self, recording: Recording, captions: Sequence[Caption]
    ) -> list[tuple[Seconds, Seconds] | None]:
        """Start of the first and end of the last word of each caption; None where they are not surely there."""
        found: list[tuple[Seconds, Seconds] | None] = []
        waiting = iter(captions)
        with contextlib.ExitStack() as stack:
            cache = None
            if self._cache is not None and self._cache.is_file():
                cache = stack.enter_context(contextlib.closing(ScoreCache(self._cache)))
            while batch := list(itertools.islice(waiting, TOGETHER)):
                starts = [max(0.0, start - REACH) for _, start, _ in batch]
                ends = [min(recording.duration, end + REACH) for _, _, end in batch]
                waves = [self._part(recording, *window) for window in zip(starts, ends, strict=True)]
                words = [self._normalize(text).split() for text, _, _ in batch]
                for begin, span in zip(starts, self._spans(words, waves, cache), strict=True):
                    found.append((span[0] + begin, span[1] + begin) if span else None)
        known = sum(span is not None for span in found)
        _log.info("%s: words of %d of %d sentences found", recording.path.name, known, len(found))
        return found

    def save(self) -> None:
        """Writes what was found since the last time into the cache.

        Not done by itself: captions are read before their corpus' folder is made.
        """
        if self._cache is None or not self._new:
            return
        with contextlib.closing(ScoreCache(self._cache)) as cache:
            while self._new:
                cache.put(*self._new.popitem())

    def _spans(
        self, texts: Sequence[list[str]], waves: Sequence[np.ndarray], cache: ScoreCache | None
    ) -> list[tuple[Seconds, Seconds] | None]:
        """The words' span in each wave; those that the cache does not know are recognized in one batch."""
        keys = [
            content_key(VERSION, self._recognizer.identity, self._language, " ".join(words), wave)
            for words, wave in zip(texts, waves, strict=True)
        ]
        stored = [self._new.get(key, cache.get(key) if cache else None) for key in keys]
        wanted = [number for number, value in enumerate(stored) if value is None]
        if wanted:
            heard = self._recognizer.emissions([waves[number] for number in wanted])
            for number, emissions in zip(wanted, heard, strict=True):
                span = self._span(texts[number], emissions, waves[number])
                stored[number] = list(span or ())
                if self._cache is not None:
                    self._new[keys[number]] = list(span or ())
        return [(span[0], span[1]) if span else None for span in stored]

    def _part(self, recording: Recording, start: Seconds, end: Seconds) -> np.ndarray:
        sound = decode(
            recording.path,
            start=start,
            duration=max(0.0, end - start),
            channel=recording.channel,
            track=recording.track,
        )
        return resample(sound.samples, sound.sample_rate, self._recognizer.sample_rate)

    def _span(
        self, words: Sequence[str], emissions: Emissions, wave: np.ndarray
    ) -> tuple[Seconds, Seconds] | None:
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
