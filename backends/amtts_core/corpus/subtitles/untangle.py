"""Takes repetitions and overlaps out of a track: rolling automatic captions, hold cues, two captions at once."""

from __future__ import annotations

from dataclasses import replace

from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.units import Seconds

_LEAST_REPEATED = 3  # words; fewer may be said twice
_TOUCHING: Seconds = 0.15
_HOLD: Seconds = 0.05
_STAYS: Seconds = 10.0  # a line of rolling captions stays while nobody speaks
_SLIGHT: Seconds = 0.3
"""Captions may run into the next by so much without meaning that two people speak."""


def untangle(track: Track) -> Track:
    """Each word once, and no two captions at a time."""
    cues = sorted(track.cues, key=lambda cue: (cue.start, cue.end, cue.number))
    rolling = _rolls(cues)
    auto = track.auto or rolling or any(cue.stamped for cue in cues)
    if track.exact:
        return _exact(replace(track, cues=cues))
    out = replace(track, cues=cues, auto=auto)
    if auto:
        _unroll(out, rolling=rolling)
    else:
        _unrepeat(out)
    _separate(out, clip_all=auto or _ends_are_placeholders(out.cues))
    return out


def _exact(track: Track) -> Track:
    """Stretches that were marked by hand: only those at which two people speak at once are left out."""
    clash: set[int] = set()
    for place, cue in enumerate(track.cues):
        for other in range(place + 1, len(track.cues)):
            over = min(cue.end, track.cues[other].end) - track.cues[other].start
            if over <= 0:
                break
            if over > _SLIGHT:
                clash |= {place, other}
    for place in sorted(clash):
        track.drop(track.cues[place], "overlapping-captions", "another stretch is marked at the same time")
    track.cues = [cue for place, cue in enumerate(track.cues) if place not in clash]
    return track


def repeated_words(before: list[str], now: list[str]) -> int:
    """How many words at the start of `now` are the last ones of `before`; at most all of them."""
    for count in range(min(len(before), len(now)), 0, -1):
        if before[-count:] == now[:count]:
            return count
    return 0


def _rolls(cues: list[Cue]) -> bool:
    """True where many captions start with the words that the one before ended with."""
    if len(cues) < 3:
        return False
    again = 0
    for before, now in zip(cues, cues[1:], strict=False):
        words = now.text.split()
        repeated = repeated_words(before.text.split(), words)
        close = now.start - before.end <= _TOUCHING
        again += close and repeated >= min(_LEAST_REPEATED, len(words))
    return again >= 2 and again >= 0.25 * (len(cues) - 1)


def _unroll(track: Track, *, rolling: bool) -> None:
    """Takes the words off that the screen shows for the second time.

    Args:
        track: in order.
        rolling: a caption shows all of the one before, however short it is.
    """
    kept: list[Cue] = []
    shown: list[str] = []  # words of the captions so far, newest last
    last_end = -1.0
    for cue in track.cues:
        words = cue.text.split()
        near = cue.start - last_end <= (_STAYS if rolling else 1.0)
        repeated = repeated_words(shown, words) if near else 0
        whole = rolling and kept and repeated == len(kept[-1].text.split())
        if repeated < _LEAST_REPEATED and repeated < len(words) and not whole:
            repeated = 0
        fresh = words[repeated:]
        last_end = max(last_end, cue.end)
        if not fresh:
            if kept and cue.start - kept[-1].end <= _TOUCHING:  # still on screen, and maybe still being said
                kept[-1] = replace(kept[-1], end=max(kept[-1].end, cue.end))
            track.drop(cue, "repeated-caption", "every word of it stands in the caption before")
            continue
        shown = (shown + fresh)[-60:]
        kept.append(replace(cue, text=" ".join(fresh)))
    track.cues = kept


def _unrepeat(track: Track) -> None:
    kept: list[Cue] = []
    for cue in track.cues:
        same = kept and kept[-1].text == cue.text and cue.start - kept[-1].end <= _TOUCHING
        if same:
            held = cue.end - cue.start <= _HOLD or cue.start < kept[-1].end - _HOLD
            if held or cue.start - kept[-1].end <= _HOLD:
                kept[-1] = replace(kept[-1], end=max(kept[-1].end, cue.end))
                track.drop(cue, "repeated-caption", f"it holds caption {kept[-1].number} on the screen")
                continue
        grows = kept and cue.text.startswith(kept[-1].text + " ") and cue.start <= kept[-1].end + _HOLD
        if grows:  # the same sentence, shown word by word
            track.drop(kept[-1], "repeated-caption", f"caption {cue.number} says it all")
            kept[-1] = replace(cue, start=min(kept[-1].start, cue.start))
            continue
        kept.append(cue)
    track.cues = kept


def _ends_are_placeholders(cues: list[Cue]) -> bool:
    """True where most captions run into the next: then their ends mean nothing."""
    pairs = list(zip(cues, cues[1:], strict=False))
    over = sum(now.start < before.end - _SLIGHT for before, now in pairs)
    return len(pairs) >= 4 and over > 0.6 * len(pairs)


def _separate(track: Track, *, clip_all: bool) -> None:
    cues = track.cues
    clash = [False] * len(cues)
    for i, cue in enumerate(cues):
        for j in range(i + 1, len(cues)):
            other = cues[j]
            over = min(cue.end, other.end) - other.start
            if other.start >= cue.end:
                break
            short = min(cue.end - cue.start, other.end - other.start)
            slight = over <= _SLIGHT and over < 0.5 * short
            if not (clip_all or slight):
                clash[i] = clash[j] = True
    kept: list[Cue] = []
    for number, cue in enumerate(cues):
        if clash[number]:
            track.drop(cue, "overlapping-captions", "another caption stands at the same time")
            continue
        following = cues[number + 1].start if number + 1 < len(cues) else cue.end
        end = min(cue.end, max(following, cue.start))
        if end - cue.start < _HOLD:
            track.drop(cue, "malformed-caption", f"it has {end - cue.start:.3f} s before the next one starts")
            continue
        kept.append(replace(cue, end=end))
    track.cues = kept
