"""Puts the subtitles' clock on the recording's: offset and rate from captions on and off against voice on and off.

A caption at `t` is spoken at `rate * t + offset`. Rates are those of film and television; what is left of a drift is
measured in windows and taken out by a line through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amtts_core.audio.trim import FRAME
from amtts_core.units import Seconds

RATES = (
    1.0,
    1.001,
    1 / 1.001,
    25 / 24,
    24 / 25,
    25 / 23.976,
    23.976 / 25,
    30 / 29.97,
    29.97 / 30,
    30 / 25,
    25 / 30,
)
_COARSE = 4  # frames in a step of the first search
_LEAST_GAIN = 0.03
_RATE_GAIN = 0.05
_GOOD = 0.25
_FEW_CUES = 6
_CHANCE = 2.2  # over the root of the number of captions: more than captions of another recording reach
_CHANCE_LIMITS = (0.15, 0.7)
_UNSEARCHED = 0.65  # of that, where no offset was searched for
_MOSTLY = 0.92
_WINDOW: Seconds = 40.0
_REACH: Seconds = 1.5


@dataclass(frozen=True)
class Alignment:
    """How the subtitles' clock runs against the recording's.

    Attributes:
        offset: added.
        rate: multiplied before.
        score: correlation of captions with voice, -1 to 1.
        before: the same without offset and rate.
        expected: what captions of another recording seldom reach by chance, found by searching offsets and rates.
        informative: captions and voice come and go, so that a low score means that they do not belong together.
    """

    offset: Seconds = 0.0
    rate: float = 1.0
    score: float = 0.0
    before: float = 0.0
    expected: float = 0.0
    informative: bool = False

    @property
    def changes(self) -> bool:
        """True where it moves anything."""
        return self.rate != 1.0 or self.offset != 0.0

    @property
    def doubtful(self) -> bool:
        """True where the captions hardly follow the voice, with or without the change."""
        return self.score < _GOOD

    @property
    def misfit(self) -> bool:
        """True where the captions surely are of another recording."""
        return self.informative and not self.changes and self.score < _UNSEARCHED * self.expected

    def map(self, time: Seconds) -> Seconds:
        """From the subtitles' clock to the recording's."""
        return self.rate * time + self.offset

    def describe(self) -> str:
        """In words, for the log."""
        return (
            f"offset {self.offset:+.2f} s, rate {self.rate:.5f}, score {self.before:.2f} -> {self.score:.2f}"
        )


def align(
    spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray, *, reach: Seconds = 120.0
) -> Alignment:
    """The offset and rate under which captions and voice agree best; none where that is not surely better.

    Args:
        spans: start and end of each caption, in order.
        voiced: (frames,) bool, 10 ms each.
        reach: the largest offset looked for.
    """
    if not spans or not voiced.any() or voiced.all():
        return Alignment()
    before = _score(spans, voiced, 1.0, 0.0)
    expected = float(np.clip(_CHANCE / np.sqrt(len(spans)), *_CHANCE_LIMITS))
    facts: dict[str, Any] = {
        "before": round(before, 4),
        "expected": expected,
        "informative": _tells(spans, voiced),
    }
    few = len(spans) < _FEW_CUES
    limit = min(reach, 2.0) if few else reach
    found = [(_search(spans, voiced, rate, limit), rate) for rate in (RATES[:1] if few else RATES)]
    (plain_score, plain_offset), _ = found[0]
    (score, offset), rate = max(found, key=lambda entry: entry[0][0])
    if rate != 1.0 and score < plain_score + _RATE_GAIN:
        score, offset, rate = plain_score, plain_offset, 1.0
    if not few:
        rate, offset = _refine(spans, voiced, rate, offset)
    offset = _fine_offset(spans, voiced, rate, offset)
    score = _score(spans, voiced, rate, offset)
    small = rate == 1.0 and abs(offset) < 0.05
    least = 0.4 * _GOOD if few else expected
    if small or score < before + _LEAST_GAIN or score < least:
        return Alignment(score=round(before, 4), **facts)
    return Alignment(round(offset, 3), rate, round(score, 4), **facts)


def _tells(spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray) -> bool:
    """True for enough captions with pauses between them, over a recording with pauses."""
    length = spans[-1][1] - spans[0][0]
    covered = sum(end - start for start, end in spans) / length if length > 0 else 1.0
    return len(spans) >= _FEW_CUES and covered < _MOSTLY and 0.05 < voiced.mean() < _MOSTLY


def _occupied(
    spans: Sequence[tuple[Seconds, Seconds]], rate: float, offset: Seconds, frames: int
) -> np.ndarray:
    """1 in frames with a caption, (frames,) float64."""
    edges = np.rint((np.asarray(spans) * rate + offset) / FRAME).astype(int).clip(0, frames)
    steps = np.zeros(frames + 1)
    np.add.at(steps, edges[:, 0], 1)
    np.add.at(steps, edges[:, 1], -1)
    return (np.cumsum(steps[:-1]) > 0).astype(float)


def _score(
    spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray, rate: float, offset: Seconds
) -> float:
    """Correlation of captions and voice; captions outside of the recording count as silence."""
    captions = _occupied(spans, rate, offset, len(voiced))
    inside = captions.sum() * FRAME
    wanted = rate * sum(end - start for start, end in spans)
    if not 0 < captions.mean() < 1:
        return 0.0
    share = min(1.0, inside / wanted) if wanted else 0.0
    return float(np.corrcoef(captions, voiced.astype(float))[0, 1]) * share


def _search(
    spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray, rate: float, reach: Seconds
) -> tuple[float, Seconds]:
    """Score and offset of the best of all offsets, by correlation over a coarse grid."""
    step = FRAME * _COARSE
    whole = len(voiced) // _COARSE * _COARSE
    voice = voiced[:whole].reshape(-1, _COARSE).mean(axis=1)
    last = max(end for _, end in spans) * rate
    frames = max(len(voice), int(last / step) + 2)
    captions = _occupied(spans, rate / _COARSE, 0.0, frames)
    size = 1 << int(np.ceil(np.log2(frames + len(voice) + 1)))
    voice_transform = np.fft.rfft(voice - voice.mean(), size)
    products = np.fft.irfft(voice_transform * np.conj(np.fft.rfft(captions, size)), size)
    lags = np.fft.fftfreq(size, 1 / size)
    products[np.abs(lags) * step > reach] = -np.inf
    # the few highest peaks, each scored as it will be judged; a smaller offset wins where they tie
    best = (-1.0, 0.0)
    for _ in range(5):
        peak = int(np.argmax(products))
        if not np.isfinite(products[peak]):
            break
        offset = float(lags[peak] * step)
        score = _score(spans, voiced, rate, offset)
        if score > best[0] + 1e-6:
            best = (score, offset)
        near = np.abs(lags - lags[peak]) * step < 0.5
        products[near] = -np.inf
    return best


def _refine(
    spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray, rate: float, offset: Seconds
) -> tuple[float, Seconds]:
    """Rate and offset after a line through the lags of single stretches, where that is better."""
    middles, lags, weights = [], [], []
    total = rate * spans[-1][1] + offset
    count = int(np.clip(total // _WINDOW, 2, 40))
    parts = np.array_split(np.arange(len(spans)), min(count, max(2, len(spans) // 5)))
    for part in parts:
        own = [spans[i] for i in part]
        if len(own) < 3:
            continue
        scores = [
            (_windowed(own, voiced, rate, offset + lag), lag)
            for lag in np.arange(-_REACH, _REACH + 0.01, 0.02)
        ]
        score, lag = max(scores, key=lambda entry: (entry[0], -abs(entry[1])))
        if score > 0.3:
            middles.append(rate * (own[0][0] + own[-1][1]) / 2 + offset)
            lags.append(lag)
            weights.append(score)
    if len(middles) < 3:
        return rate, offset
    slope, shift = _robust_line(np.array(middles), np.array(lags), np.array(weights))
    drift = abs(slope) * (middles[-1] - middles[0])
    if drift < 0.08:
        return rate, offset
    new_rate, new_offset = rate * (1 + slope), offset * (1 + slope) + shift
    near = min(RATES, key=lambda known: abs(known - new_rate))
    if abs(near - new_rate) * total < 0.1:  # a known rate explains it to a tenth of a second
        middle = float(np.mean(middles))
        new_offset += (new_rate - near) * (middle - new_offset) / new_rate
        new_rate = near
    better = _score(spans, voiced, new_rate, new_offset) > _score(spans, voiced, rate, offset) + 0.005
    return (new_rate, new_offset) if better else (rate, offset)


def _windowed(
    spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray, rate: float, offset: Seconds
) -> float:
    first = max(0, int((rate * spans[0][0] + offset - 2) / FRAME))
    last = int((rate * spans[-1][1] + offset + 2) / FRAME)
    window = voiced[first:last].astype(float)
    if len(window) < 100 or not 0 < window.mean() < 1:
        return 0.0
    captions = _occupied(spans, rate, offset - first * FRAME, len(window))
    return float(np.corrcoef(captions, window)[0, 1]) if 0 < captions.mean() < 1 else 0.0


def _robust_line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and value at 0 of a weighted line, after leaving out points far from the median line."""
    slopes = [
        (y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[j] > x[i]
    ]
    slope = float(np.median(slopes)) if slopes else 0.0
    rest = y - slope * x
    keep = np.abs(rest - np.median(rest)) < 0.25
    if keep.sum() >= 3:
        fitted = np.polyfit(x[keep], y[keep], 1, w=weights[keep])
        return float(fitted[0]), float(fitted[1])
    return slope, float(np.median(rest))


def _fine_offset(
    spans: Sequence[tuple[Seconds, Seconds]], voiced: np.ndarray, rate: float, offset: Seconds
) -> Seconds:
    """The best offset within 0.3 s, to a frame."""
    shifts = np.arange(-30, 31) * FRAME
    scores = [_score(spans, voiced, rate, offset + shift) for shift in shifts]
    return offset + float(shifts[int(np.argmax(scores))])
