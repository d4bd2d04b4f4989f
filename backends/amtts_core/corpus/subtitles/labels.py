"""Texts with times as annotation programs write them line by line: Audacity, ELAN, HTK, and Whisper's own listing.

A text without times is none of these: `read_labels` says so, and its numbers are words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.text.script import script_share
from amtts_core.units import Seconds

_NUMBER = r"\d+(?:[.,]\d+)?"
_CLOCK = r"(?:\d{1,2}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?"
_AUDACITY = re.compile(rf"^\s*({_NUMBER})\t+({_NUMBER})(?:\t+(.*))?$")
_SPACED = re.compile(r"^\s*(\d+[.,]\d+)\s+(\d+[.,]\d+)\s+(\S.*)$")
_STAMP = re.compile(
    rf"^\s*(?:(?P<sign>[\[(])\s*(?P<inner>{_CLOCK})\s*[\])]|(?P<first>{_CLOCK})\b|(?:\S.{{0,40}}\s)?(?P<last>{_CLOCK})\s*$)"
)
_HTK = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\S.*)$")
_LISTED = re.compile(rf"^\s*\[?\s*({_CLOCK})\s*(?:-->|->|–|—|-|to)\s*({_CLOCK})\s*\]?\s*[:\t]?\s*(.*)$")
_RECORDING = re.compile(r"\.(?:wav|mp3|flac|ogg|opus|m4a|webm|mp4)\s*$", re.IGNORECASE)
_SPECTRAL = re.compile(r"^\\\t")  # Audacity's second line of a label, with its frequencies
_HTK_UNIT = 1e-7
_LEAST = 0.9  # of the lines that must have the form
_SILENCE = frozenset(
    ("sil", "sp", "pau", "spn", "h#", "#", "<sil>", "<p:>", "<s>", "</s>", "silence", "_", "-", "xxx")
)


@dataclass(frozen=True)
class _Form:
    """One way of writing lines with times."""

    name: str
    pattern: re.Pattern[str]


def read_labels(text: str, *, language: str = "am") -> Track | None:
    """The stretches of a text with times; None where it is a text without times.

    Args:
        text: of the whole file.
        language: code of the language that is wanted, which tells texts from names of speakers.
    """
    lines = [line for line in re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")) if line.strip()]
    lines = [line for line in lines if not _SPECTRAL.match(line)]
    if not lines:
        return None
    for read in (_audacity, _listed, _spaced, _htk):
        track = read(lines)
        if track is not None:
            return track
    return _elan(lines, language)


def _matches(pattern: re.Pattern[str], lines: Sequence[str]) -> list[re.Match[str] | None] | None:
    found = [pattern.match(line) for line in lines]
    return found if sum(match is not None for match in found) >= _LEAST * len(lines) else None


def _audacity(lines: Sequence[str]) -> Track | None:
    found = _matches(_AUDACITY, lines)
    return None if found is None else _track(lines, found, 1.0)


def _listed(lines: Sequence[str]) -> Track | None:
    found = _matches(_LISTED, lines)
    return None if found is None else _track(lines, found, 1.0)


def _spaced(lines: Sequence[str]) -> Track | None:
    """Start and end with decimal places and a text, between spaces."""
    found = _matches(_SPACED, lines)
    if found is None:
        return None
    times = [(seconds(match[1]), seconds(match[2])) for match in found if match]
    rising = all(a < b for a, b in times) and all(a[0] < b[0] for a, b in zip(times, times[1:], strict=False))
    return _track(lines, found, 1.0) if rising else None


def has_stamps(text: str) -> bool:
    """True for a text whose lines name the times at which they begin, but not where they end.

    Such are the exports of transcription services and transcripts that were copied from a video's page.
    """
    found = [match for line in re.split(r"\r\n|\n|\r", text) if (match := _STAMP.match(line))]
    if len(found) < 2:
        return bool(found) and bool(found[0]["sign"])
    times = [seconds(match["inner"] or match["first"] or match["last"]) for match in found]
    return all(a <= b for a, b in zip(times, times[1:], strict=False))


def _htk(lines: Sequence[str]) -> Track | None:
    """Start and end in units of 100 ns and a label, most often a word or a phone."""
    found = _matches(_HTK, lines)
    if found is None:
        return None
    times = [(int(match[1]), int(match[2])) for match in found if match]
    rising = all(start <= end for start, end in times)
    if not rising or times[-1][1] < 10_000:  # a millisecond: whoever counts people counts fewer
        return None
    track = _track(lines, found, _HTK_UNIT)
    return Track(track.cues, track.dropped, words=True, exact=True)


def _track(lines: Sequence[str], found: Sequence[re.Match[str] | None], unit: float) -> Track:
    track = Track([], exact=True)
    for number, (line, match) in enumerate(zip(lines, found, strict=True), 1):
        if match is None:
            cue = Cue(number, 0.0, 0.0, line)
            track.drop(cue, "malformed-caption", "the line does not begin with a start and an end")
            continue
        start, end = seconds(match[1]) * unit, seconds(match[2]) * unit
        add_cue(track, Cue(number, start, end, (match[3] or "").strip()))
    return track


def add_cue(track: Track, cue: Cue) -> None:
    """Adds a stretch to a track, or what is wrong with it."""
    if cue.text.strip().casefold() in _SILENCE:
        track.drop(cue, "not-speech", f"it marks silence: {cue.text[:20]}")
    elif not cue.text.strip():
        track.drop(cue, "empty-text", "the stretch has no text")
    elif cue.end <= cue.start:
        why = "it marks a point and no stretch" if cue.end == cue.start else "it ends before it starts"
        track.drop(cue, "malformed-caption", f"{why}: {cue.start:.3f} s")
    else:
        track.cues.append(cue)


def seconds(written: str) -> Seconds:
    """A number of seconds, or a time as a clock shows it."""
    *longer, rest = written.replace(",", ".").split(":")
    value = float(rest)
    for power, part in enumerate(reversed(longer), 1):
        value += 60**power * int(part)
    return value


def _elan(lines: Sequence[str], language: str) -> Track | None:
    """ELAN's tab-delimited export: a tier, maybe a participant, begin, end and duration in some forms, and the text."""
    rows = [line.split("\t") for line in lines]
    count, often = Counter(map(len, rows)).most_common(1)[0]
    if count < 3 or often < _LEAST * len(rows):
        return None
    body = [row for row in rows if len(row) == count]
    if not any(map(_is_time, body[0])):
        body = body[1:]  # a header
    if not body:
        return None
    columns = [[row[number].strip() for row in body] for number in range(count)]
    if any(_RECORDING.search(cell) for row in body[:20] for cell in row):
        return None  # a table of recordings
    times = [n for n, cells in enumerate(columns) if sum(map(_is_time, cells)) >= _LEAST * len(cells)]
    pair = _times_of(columns, times)
    texts = [n for n in range(count) if n not in times and script_share("".join(columns[n]), language) >= 0.5]
    if pair is None or not texts:
        return None
    text = max(texts, key=lambda n: (len(set(columns[n])), n))  # the annotation stands last
    speaker = next((n for n in range(count) if n not in times and n != text and any(columns[n])), None)
    track = Track([], exact=True)
    for number, row in enumerate(body, 1):
        cells = [cell.strip() for cell in row]
        if not (_is_time(cells[pair[0]]) and _is_time(cells[pair[1]])):
            track.drop(Cue(number, 0.0, 0.0, cells[text]), "malformed-caption", "it has no start and end")
            continue
        start, end = seconds(cells[pair[0]]), seconds(cells[pair[1]])
        add_cue(
            track, Cue(number, start, end, cells[text], speaker="" if speaker is None else cells[speaker])
        )
    return track


def _is_time(cell: str) -> bool:
    return bool(re.fullmatch(f"{_NUMBER}|{_CLOCK}", cell.strip()))


def _times_of(columns: Sequence[Sequence[str]], times: Sequence[int]) -> tuple[int, int] | None:
    """Begin and end, of columns that may also hold durations and the same times in milliseconds."""
    fine: Sequence[int] = [n for n in times if any(sign in cell for cell in columns[n] for sign in ".,:")]
    fine = fine or times
    for left in fine:
        for right in fine:
            if left == right or not (columns[left] and columns[right]):
                continue
            pairs = [
                (seconds(a), seconds(b))
                for a, b in zip(columns[left], columns[right], strict=True)
                if _is_time(a) and _is_time(b)
            ]
            later = all(a < b for a, b in pairs)
            rising = all(a[0] < b[0] or a[0] == 0 for a, b in zip(pairs, pairs[1:], strict=False))
            telling = len({a for a, _ in pairs}) > len(pairs) / 2 and (len(pairs) > 1 or fine is not times)
            if later and rising and telling:
                return left, right
    return None
