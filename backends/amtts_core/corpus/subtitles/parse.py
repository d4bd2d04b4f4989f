"""SRT and WebVTT as people and programs write them. Never fails: a text without a time line has no cues.

Only a time line starts a cue. Index lines may be missing, doubled or wrong; a line of spaces is part of its cue.
"""

from __future__ import annotations

import re

from amtts_core.corpus.subtitles.cue import Cue, Track

_STAMP = r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2})(?:[.,:](\d{1,6}))?"
_TIMES = re.compile(rf"^\s*{_STAMP}\s*(?:-{{1,2}}\s*>+|,)\s*{_STAMP}(?P<rest>\s.*)?$")
_BAD_TIMES = re.compile(r"^\s*\S{0,20}\s*-->")
_INDEX = re.compile(r"^\s*\d+\s*$")
_BLOCK = re.compile(r"^(NOTE|STYLE|REGION)(\s|$)")
_WORD_STAMP = re.compile(r"<\d{1,3}:\d\d(?::\d\d)?[.,]\d{1,3}>")


def parse_subtitles(text: str) -> Track:
    """Every cue of a text in the file's order; those whose times cannot be used are dropped with a reason."""
    track = Track([])
    lines = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    starts = [number for number, line in enumerate(lines) if _TIMES.match(line) or _BAD_TIMES.match(line)]
    is_vtt = lines[0].lstrip().startswith("WEBVTT")
    indexed = sum(begin > 0 and bool(_INDEX.match(lines[begin - 1])) for begin in starts) * 2 > len(starts)
    for count, begin in enumerate(starts, 1):
        last = count == len(starts)
        following = len(lines) if last else starts[count]
        between = lines[begin + 1 : following]
        body = _body(between if last else _without_head_of_next(between, is_vtt=is_vtt, indexed=indexed))
        said = "\n".join(body)
        stamped = bool(_WORD_STAMP.search(said))
        times = _TIMES.match(lines[begin])
        if times is None:
            cue = Cue(count, 0.0, 0.0, said)
            track.drop(
                cue, "malformed-caption", f"the time line {lines[begin].strip()[:80]!r} cannot be read"
            )
            continue
        start, end = _seconds(*times.groups()[:4]), _seconds(*times.groups()[4:8])
        cue = Cue(count, start, end, said, stamped=stamped)
        if end <= start:
            why = f"it ends at {end:.3f} s but starts at {start:.3f} s"
            track.drop(cue, "malformed-caption", why)
        else:
            track.cues.append(cue)
    return track


def _body(lines: list[str]) -> list[str]:
    """The text of a cue, given all lines up to the next one.

    An empty line ends the cue, a line of spaces does not. But some writers put empty lines inside a cue; what stands
    after one is still text.
    """
    out: list[str] = []
    skipping = False
    for number, line in enumerate(lines):
        if not line.strip():
            skipping = False if not line else skipping
            continue
        if number and not lines[number - 1].strip() and _BLOCK.match(line):
            skipping = True
        if not skipping:
            out.append(line.strip())
    return out


def _without_head_of_next(lines: list[str], *, is_vtt: bool, indexed: bool) -> list[str]:
    """Takes off the index line or cue name that stands directly above the next time line."""
    if not lines or not lines[-1].strip():
        return lines
    after_blank = len(lines) >= 2 and not lines[-2].strip()
    is_index = bool(_INDEX.match(lines[-1])) and (indexed or after_blank)
    return lines[:-1] if is_index or (is_vtt and after_blank) else lines


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    part = int(fraction.ljust(3, "0")) / 10 ** len(fraction.ljust(3, "0")) if fraction else 0.0
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + part
