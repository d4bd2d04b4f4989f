"""From aligned captions to clips: captions that make a sentence are joined, and edges are moved into silences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amtts_core.audio.trim import FRAME, stretches
from amtts_core.corpus.subtitles.cue import Cue
from amtts_core.units import Seconds

REACH: Seconds = 0.3
"""An edge moves no further."""
SHORTEST: Seconds = 1.0
LONGEST: Seconds = 15.0
_GAP: Seconds = 0.5  # captions of one sentence are no further apart
_JOINT: Seconds = 0.1  # captions that are nearer than this share an edge
_SILENCES = (12, 4)  # frames that make one; a pause is preferred to the closure of a stop
_INSIDE = 3  # frames that an edge goes into a silence
_END = re.compile(r"(?:[።፧?!…]|፡\s?፡|::|\.)[»”\"')\]]*$")


@dataclass(frozen=True)
class Cut:
    """A stretch of the recording and the captions that are spoken in it."""

    start: Seconds
    end: Seconds
    cues: tuple[Cue, ...]

    @property
    def text(self) -> str:
        """Words of all captions, joined by spaces."""
        return " ".join(cue.text for cue in self.cues)

    @property
    def speaker(self) -> str:
        """The one that a caption names."""
        return next((cue.speaker for cue in self.cues if cue.speaker), "")

    @property
    def numbers(self) -> str:
        """Which captions, as in "3" or "3-5"."""
        first, last = self.cues[0].number, self.cues[-1].number
        return str(first) if first == last else f"{first}-{last}"


def merge_sentences(cues: Sequence[Cue], *, auto: bool = False) -> list[Cut]:
    """Captions joined up to the end of a sentence, at most 15 s; too short ones join a neighbour that is near.

    Where a manual file marks no sentences, each of its captions is taken for one.

    Args:
        cues: aligned, in order, not overlapping.
        auto: automatic captions, which mark no sentences and break anywhere.
    """
    marked = sum(bool(_END.search(cue.text)) for cue in cues) >= 0.1 * len(cues)
    groups: list[list[Cue]] = []
    for cue in cues:
        group = groups[-1] if groups else []
        open_sentence = bool(group) and not _END.search(group[-1].text) and (marked or auto)
        if open_sentence and _may_join(group, [cue]):
            group.append(cue)
        else:
            groups.append([cue])
    joined: list[list[Cue]] = []
    for group in groups:
        small = _length(group) < SHORTEST or (joined and _length(joined[-1]) < SHORTEST)
        if small and joined and _may_join(joined[-1], group):
            joined[-1].extend(group)
        else:
            joined.append(group)
    return [Cut(group[0].start, group[-1].end, tuple(group)) for group in joined]


def at_words(cuts: Sequence[Cut], words: Sequence[tuple[Seconds, Seconds] | None]) -> list[Cut]:
    """The cuts from their first to their last word, where these are known; the others stay beside them.

    Args:
        cuts: in order, not overlapping.
        words: start of the first and end of the last word of each; None where unknown.
    """
    moved = [
        replace(cut, start=found[0], end=found[1]) if found else cut
        for cut, found in zip(cuts, words, strict=True)
    ]
    for number, (left, right) in enumerate(itertools.pairwise(moved)):
        if left.end <= right.start:
            continue
        if words[number] and words[number + 1]:  # both are known and overlap: no order can be told
            moved[number], moved[number + 1] = cuts[number], cuts[number + 1]
        elif words[number]:
            moved[number + 1] = replace(right, start=min(left.end, right.end))
        else:
            moved[number] = replace(left, end=max(right.start, left.start))
    return moved


def _length(group: list[Cue]) -> Seconds:
    return group[-1].end - group[0].start


def _may_join(left: list[Cue], right: list[Cue]) -> bool:
    named = {cue.speaker for cue in (*left, *right) if cue.speaker}
    changes = bool(right[0].speaker) and right[0].speaker != next((c.speaker for c in left if c.speaker), "")
    near = right[0].start - left[-1].end <= _GAP
    consecutive = right[0].number > left[-1].number
    return (
        near and consecutive and not changes and len(named) <= 1 and right[-1].end - left[0].start <= LONGEST
    )


def move_edges(
    cuts: Sequence[Cut],
    voiced: np.ndarray,
    levels: np.ndarray,
    *,
    others: Sequence[tuple[Seconds, Seconds]] = (),
) -> list[Cut]:
    """The cuts with each edge in the nearest silence within 0.3 s, never past an edge of a neighbour.

    Args:
        cuts: in order, not overlapping.
        voiced: (frames,) bool.
        levels: (frames,) dB; decides between frames where no silence is near.
        others: start and end of captions that are not used but spoken, and so must not be cut into.
    """
    limit = len(voiced) * FRAME
    starts = [min(max(0.0, cut.start), limit) for cut in cuts]
    ends = [min(max(0.0, cut.end), limit) for cut in cuts]
    foreign_ends = np.sort([end for _, end in others])
    foreign_starts = np.sort([start for start, _ in others])
    new_starts, new_ends = list(starts), list(ends)
    for number in range(len(cuts)):
        if number and starts[number] - ends[number - 1] < _JOINT:
            middle = (starts[number] + ends[number - 1]) / 2
            low = max((new_starts[number - 1] + ends[number - 1]) / 2, middle - REACH)
            high = min((starts[number] + ends[number]) / 2, middle + REACH)
            edge = _quietest(voiced, levels, middle, low, high)
            new_ends[number - 1] = new_starts[number] = edge
            continue
        low = max(new_ends[number - 1] if number else 0.0, starts[number] - REACH)
        low = max(low, _last_before(foreign_ends, starts[number]))
        high = min((starts[number] + ends[number]) / 2, starts[number] + REACH)
        new_starts[number] = _silence(voiced, starts[number], low, high, side=1)
        if number:
            high = min(ends[number - 1] + REACH, new_starts[number])
            new_ends[number - 1] = _end_edge(
                cuts, starts, ends, new_starts, voiced, foreign_starts, number - 1, high
            )
    if cuts:
        last = len(cuts) - 1
        high = min(ends[last] + REACH, limit)
        new_ends[last] = _end_edge(cuts, starts, ends, new_starts, voiced, foreign_starts, last, high)
    return [
        Cut(round(start, 3), round(end, 3), cut.cues)
        for cut, start, end in zip(cuts, new_starts, new_ends, strict=True)
    ]


def _end_edge(
    cuts: Sequence[Cut],
    starts: list[float],
    ends: list[float],
    new_starts: list[float],
    voiced: np.ndarray,
    foreign_starts: np.ndarray,
    number: int,
    high: float,
) -> float:
    low = max((new_starts[number] + ends[number]) / 2, ends[number] - REACH)
    after = foreign_starts[np.searchsorted(foreign_starts, ends[number] - 1e-6) :]
    high = min(high, float(after[0])) if len(after) else high
    return _silence(voiced, ends[number], low, max(low, high), side=-1)


def _last_before(values: np.ndarray, time: float) -> float:
    place = int(np.searchsorted(values, time + 1e-6))
    return float(values[place - 1]) if place else 0.0


def _silence(voiced: np.ndarray, time: float, low: float, high: float, *, side: int) -> float:
    """The nearest place in [low, high] that lies in a silence; `time` itself where there is none.

    Args:
        voiced: (frames,) bool.
        time: where the edge is.
        low: not before.
        high: not after.
        side: 1 where voice follows the edge, -1 where voice precedes it.
    """
    quiet = _quiet_frames(voiced, low, high)
    if not len(quiet):
        return min(max(time, low), high)
    centres = (quiet + 0.5) * FRAME
    nearest = int(np.argmin(np.abs(centres - time)))
    at = float(centres[nearest])
    if abs(at - time) <= FRAME:
        return min(max(time, low), high)
    # go a little further into the silence, away from the voice that the edge left
    step = 1 if at > time else -1
    for _ in range(_INSIDE):
        following = nearest + step
        if not 0 <= following < len(quiet) or quiet[following] != quiet[nearest] + step:
            break
        nearest = following
    return min(max(float(centres[nearest]), low), high)


def _quietest(voiced: np.ndarray, levels: np.ndarray, time: float, low: float, high: float) -> float:
    """The middle of the silence nearest to a shared edge, or the quietest frame where there is none."""
    quiet = _quiet_frames(voiced, low, high)
    if len(quiet):
        runs = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
        centres = [(run[0] + run[-1] + 1) / 2 * FRAME for run in runs]
        return float(min(centres, key=lambda centre: abs(centre - time)))
    first, last = int(low / FRAME), max(int(low / FRAME) + 1, int(high / FRAME))
    near = levels[first:last]
    if not len(near):
        return min(max(time, low), high)
    dip = int(np.argmin(near))
    deep = near[dip] < np.median(near) - 6
    return (first + dip + 0.5) * FRAME if deep else min(max(time, low), high)


def _quiet_frames(voiced: np.ndarray, low: float, high: float) -> np.ndarray:
    """Frames between two times that belong to a pause, or else to a shorter silence."""
    for shortest in _SILENCES:
        frames = _quiet_runs(voiced, low, high, shortest)
        if len(frames):
            return frames
    return np.zeros(0, int)


def _quiet_runs(voiced: np.ndarray, low: float, high: float, shortest: int) -> np.ndarray:
    first, last = max(0, int(np.ceil(low / FRAME - 0.5))), min(len(voiced), int(high / FRAME + 0.5))
    if last <= first:
        return np.zeros(0, int)
    wide_first, wide_last = max(0, first - shortest), min(len(voiced), last + shortest)
    quiet = ~voiced[wide_first:wide_last]
    kept = np.zeros(len(quiet), bool)
    for begin, end in stretches(quiet):
        if end - begin >= shortest:
            kept[begin:end] = True
    frames = np.flatnonzero(kept) + wide_first
    return frames[(frames >= first) & (frames < last)]
