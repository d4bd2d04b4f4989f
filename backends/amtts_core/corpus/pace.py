"""Letters per second against the speaker's own habit: a text that does not belong to its audio stands out.

Medians need every clip of a speaker, so clips are counted here in a first pass and judged in a second one. Four bytes a
clip are kept.
"""

from __future__ import annotations

import statistics
from array import array

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.settings import PrepareSettings

RULE = "pace"
_ENOUGH = 5
"""Clips that make a median; a speaker with fewer is held against all speakers together."""


class SpeakerPace:
    """The paces of all speakers, in letters per second of speech."""

    def __init__(self) -> None:
        self._paces: dict[str, array[float]] = {}
        self._medians: dict[str | None, float] = {}

    def add(self, speaker: str, pace: float) -> None:
        """First pass: one clip."""
        self._paces.setdefault(speaker, array("f")).append(pace)

    def ratio(self, speaker: str, pace: float) -> float:
        """Second pass: a clip's pace over the median of its speaker; 1.0 where there is no median."""
        known = self._paces.get(speaker)
        median = self._median(speaker if known is not None and len(known) >= _ENOUGH else None)
        return pace / median if median else 1.0

    def _median(self, speaker: str | None) -> float:
        if speaker not in self._medians:
            chosen = self._paces.values() if speaker is None else (self._paces[speaker],)
            joined = array("f")
            for paces in chosen:
                joined.extend(paces)
            self._medians[speaker] = statistics.median(joined) if len(joined) >= _ENOUGH else 0.0
        return self._medians[speaker]


def judge_pace(ratio: float, settings: PrepareSettings) -> Finding | None:
    """The finding where a clip is read much slower or faster than its speaker reads, whatever is done about it."""
    if settings.min_pace <= ratio <= settings.max_pace:
        return None
    slow = ratio < settings.min_pace
    threshold = settings.min_pace if slow else settings.max_pace
    return Finding(
        rule=RULE,
        reason=f"{ratio:.2f} times the median pace of its speaker, at {'least' if slow else 'most'} {threshold:g} "
        "are expected: does the text belong to the audio?",
        value=round(ratio, 3),
        threshold=threshold,
    )
