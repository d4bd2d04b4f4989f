"""What speech recognizers write beside the recording: JSON and TSV of Whisper, WhisperX and whisper.cpp."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.corpus.subtitles.labels import add_cue
from amtts_core.units import Seconds

_TSV_HEADER = re.compile(r"^\ufeff?start\tend\t(?:speaker\t)?text\s*$", re.IGNORECASE)


def is_tsv(text: str) -> bool:
    """True for a table of starts and ends in milliseconds and texts."""
    return bool(_TSV_HEADER.match(text.split("\n", 1)[0].rstrip("\r")))


def read_tsv(text: str) -> Track:
    """The segments of such a table."""
    first, *lines = re.split(r"\r\n|\n|\r", text)
    named = "speaker" in first.casefold()
    track = Track([])
    for number, line in enumerate((line for line in lines if line.strip()), 1):
        start, end, *rest = line.split("\t", 3 if named else 2) + ["", ""]
        said = rest[1 if named else 0].strip()
        if not (start.strip().isdigit() and end.strip().isdigit()):
            track.drop(Cue(number, 0.0, 0.0, line), "malformed-caption", "it has no start and end")
            continue
        add_cue(
            track, Cue(number, int(start) / 1000, int(end) / 1000, said, speaker=rest[0] if named else "")
        )
    return track


def is_json(value: Any) -> bool:
    """True for the output of a recognizer: segments with times and texts."""
    return bool(_segments(value))


def read_json(value: Any) -> Track:
    """The segments of such an output."""
    track = Track([])
    for number, (start, end, text, speaker) in enumerate(_segments(value), 1):
        add_cue(track, Cue(number, start, end, text.strip(), speaker=speaker))
    return track


def _segments(value: Any) -> list[tuple[Seconds, Seconds, str, str]]:
    if not isinstance(value, dict):
        return []
    segments = value.get("segments")
    if isinstance(segments, list):
        return list(_timed(segments, "start", "end", 1.0))
    written = value.get("transcription")  # whisper.cpp
    if isinstance(written, list):
        flat = [
            {**s, **s["offsets"]}
            for s in written
            if isinstance(s, dict) and isinstance(s.get("offsets"), dict)
        ]
        return list(_timed(flat, "from", "to", 0.001))
    return []


def _timed(
    rows: Iterable[Any], start: str, end: str, unit: float
) -> Iterable[tuple[Seconds, Seconds, str, str]]:
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            continue
        times = row.get(start), row.get(end)
        if all(isinstance(time, (int, float)) and not isinstance(time, bool) for time in times):
            yield times[0] * unit, times[1] * unit, row["text"], str(row.get("speaker") or "")  # type: ignore[operator]
