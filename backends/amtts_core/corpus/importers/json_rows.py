"""Rows of a JSON Lines file, each a dictionary or what is wrong with it; shared by the importers of manifests."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amtts_core.corpus.importers.table import read_lines


def read_rows(table: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number, and the row or what is wrong with the line."""
    for line in read_lines(table):
        yield line.number, line.problem or _row(line.text)


def _row(text: str) -> dict[str, Any] | str:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return "is not JSON"
    return row if isinstance(row, dict) else f"is JSON but no object ({type(row).__name__})"


def first_row(table: Path) -> dict[str, Any]:
    """The first row; empty where there is none."""
    if not table.is_file():
        return {}
    row = next((row for _, row in read_rows(table)), {})
    return row if isinstance(row, dict) else {}


def text_of(row: dict[str, Any], *names: str) -> str:
    """The first of the fields that is text and not blank; empty where none is."""
    values = (row.get(name) for name in names)
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def seconds_of(row: dict[str, Any], name: str) -> float | None | str:
    """A field of seconds, None where it is missing, or what is wrong with it."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"has a {name} that is no number: {str(value)[:40]!r}"
    if not math.isfinite(value) or value < 0:
        return f"has the {name} {value}, expected 0 or more seconds"
    return float(value)


def span_of(row: dict[str, Any]) -> tuple[float, float | None] | str:
    """Start and end of a row's clip in its file, from `offset` and `duration`, or what is wrong with them."""
    offset, duration = seconds_of(row, "offset"), seconds_of(row, "duration")
    for value in (offset, duration):
        if isinstance(value, str):
            return value
    assert not isinstance(offset, str)
    assert not isinstance(duration, str)
    if offset is None:
        return 0.0, None
    if duration == 0:
        return "has a duration of 0 seconds"
    return offset, None if duration is None else round(offset + duration, 6)
