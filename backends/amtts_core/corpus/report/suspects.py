"""Which utterances to listen to first: every measure that stands out adds to a score, and says so in words."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Any

from amtts_core.corpus.manifest import Utterance
from amtts_core.corpus.report.model import Suspect

_MOST = 2.0  # one measure alone cannot outweigh all others


def suspicion(measures: Mapping[str, float], sample_rate: int | None) -> tuple[float, list[str]]:
    """A score, 0 for nothing to complain about, and what it is made of."""
    found: list[tuple[float, str]] = []

    def complain(score: float, words: str) -> None:
        if score > 0:
            found.append((min(score, _MOST), words))

    pace = measures.get("pace", 1.0)
    off = abs(math.log(pace)) if pace > 0 else _MOST
    complain(max(0.0, off - 0.3) / 0.25, f"{pace:.2f} x the speaker's pace")
    if (snr := measures.get("snr")) is not None:
        complain((22 - snr) / 10, f"{snr:.0f} dB over the noise")
    clipped = measures.get("clipped", 0.0)
    complain(clipped / 0.002, f"{clipped:.2%} clipped")
    if (loudness := measures.get("loudness")) is not None:
        complain((-38 - loudness) / 8, f"quiet ({loudness:.0f} LUFS)")
    if (width := measures.get("bandwidth")) and sample_rate:
        complain((0.7 - width / (sample_rate / 2)) * 3, f"nothing above {width / 1000:.1f} kHz")
    if (silence := measures.get("silence", 0.0)) > 0.6:
        complain((silence - 0.6) * 2, f"{silence:.0%} silence at the ends")
    found.sort(reverse=True)
    return round(sum(score for score, _ in found), 3), [words for _, words in found]


class Worst:
    """Keeps the utterances with the highest scores; of equal ones those that came first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[float, int, Suspect]] = []
        self._seen = 0

    def add(self, utterance: Utterance, measures: Mapping[str, Any]) -> None:
        """Considers one utterance."""
        self._seen += 1
        score, reasons = suspicion(measures, utterance.sample_rate)
        if score <= 0 or (len(self._heap) == self._count and score <= self._heap[0][0]):
            return
        suspect = Suspect(
            id=utterance.id,
            audio=utterance.audio_filepath,
            speaker=utterance.speaker,
            text=utterance.text[:300],
            duration=utterance.duration,
            score=score,
            reasons=reasons,
        )
        heapq.heappush(self._heap, (score, -self._seen, suspect))
        if len(self._heap) > self._count:
            heapq.heappop(self._heap)

    def list(self) -> list[Suspect]:
        """The worst first."""
        return [suspect for _, _, suspect in sorted(self._heap, key=lambda entry: (-entry[0], -entry[1]))]
