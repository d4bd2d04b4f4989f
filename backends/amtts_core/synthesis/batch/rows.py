"""A text of a batch and its name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from amtts_core.errors import AmttsError
from amtts_core.units import Seconds

_UNSAFE = re.compile(r"[\x00-\x1f/\\:*?\"<>|]+")
_LONGEST_NAME = 120
"""Bytes of a file's stem: far below every file system's limit."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One text of a batch.

    Attributes:
        id: names it in reports, and its file.
        text: as written.
        place: where it stands, for messages: "line 3".
        speaker: of the voice; empty for the one of the command.
        voice: recording or kept voice; empty for the one of the command.
        out: path of its file in the output folder; empty takes the id.
        start, end: seconds, of a caption.
        problem: why it cannot be used, known while reading; empty where it can.
    """

    id: str
    text: str
    place: str
    speaker: str = ""
    voice: str = ""
    out: str = ""
    start: Seconds | None = None
    end: Seconds | None = None
    problem: str = ""


def file_name(row: Row, ending: str) -> str:
    """The path of a row's file in the output folder, with `/` between folders.

    Raises:
        AmttsError: its `out` leaves the folder, or has another ending.
    """
    if not row.out:
        return f"{_stem(row.id)}{ending}"
    path = PurePosixPath(row.out.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", row.out) or not path.name:
        raise AmttsError(f"{row.place}: out '{row.out}' is no path inside the output folder")
    parts = [_stem(part) for part in path.parts]
    if any(part.startswith(".") for part in parts):
        raise AmttsError(f"{row.place}: out '{row.out}' is hidden", remedy="Leave the dot in front out")
    name = "/".join(parts)
    return name if path.suffix.lower() == ending else f"{name}{ending}"


def _stem(written: str) -> str:
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", written)).strip(" .") or "_"
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def with_problems(rows: Iterable[Row], ending: str) -> Iterator[Row]:
    """The rows; those of a name that stands above, or of none that can be, get their problem."""
    seen: dict[str, str] = {}
    for row in rows:
        if not row.problem:
            try:
                name = file_name(row, ending).casefold()
            except AmttsError as fault:
                row = replace(row, problem=str(fault).removeprefix(f"{row.place}: "))
            else:
                if name in seen:
                    row = replace(
                        row, problem=f"the file {file_name(row, ending)} is that of {seen[name]}, too"
                    )
                seen.setdefault(name, row.place)
        yield row
