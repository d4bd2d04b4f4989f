"""JSON Lines: written so that a line stays a line, read by newlines only."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from amtts_core.errors import ManifestError

_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def json_line(value: object) -> str:
    """One line of JSON that stays one line: Unicode's own line ends, which JSON allows in a text, are escaped."""
    line = json.dumps(value, ensure_ascii=False)
    for character, escaped in _LINE_ENDS.items():
        if character in line:
            line = line.replace(character, escaped)
    return line + "\n"


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file that amtts wrote; only a newline ends a line.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not JSON.
    """
    with path.open("rb") as handle:
        yield from (json.loads(line) for line in handle if line.strip())


def write_jsonl(path: Path, rows: Iterable[BaseModel | dict[str, Any]]) -> int:
    """Streams rows to a JSON Lines file through a temporary file; returns their number.

    Raises:
        ManifestError: the file cannot be written. What stood there before stays as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as handle:
            for row in rows:
                value = row.model_dump(exclude_none=True) if isinstance(row, BaseModel) else row
                handle.write(json_line(value))
                count += 1
        temporary.replace(path)
    except OSError as error:
        raise ManifestError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return count
