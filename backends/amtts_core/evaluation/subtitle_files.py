"""Times of words or sentences as subtitles (srt, vtt) and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from amtts_core.units import Seconds

FORMATS = ("srt", "vtt", "json")


@dataclass(frozen=True)
class Caption:
    """One caption.

    Attributes:
        text: what is shown.
        start, end: seconds.
        spoken: what is said, where it is written otherwise ("12"); stands in the JSON alone.
    """

    text: str
    start: Seconds
    end: Seconds
    spoken: str = ""


def write_captions(captions: Sequence[Caption], *, form: str) -> str:
    """Captions in one of `FORMATS`."""
    if form == "json":
        rows = [
            {"text": c.text, **({"spoken": c.spoken} if c.spoken else {})}
            | {"start": round(c.start, 3), "end": round(c.end, 3)}
            for c in captions
        ]
        return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    mark = "," if form == "srt" else "."
    blocks = [
        (f"{number}\n" if form == "srt" else "")
        + f"{_time(c.start, mark)} --> {_time(c.end, mark)}\n{c.text}\n"
        for number, c in enumerate(captions, 1)
    ]
    return ("WEBVTT\n\n" if form == "vtt" else "") + "\n".join(blocks)


def _time(seconds: Seconds, mark: str) -> str:
    whole = round(seconds * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
