"""Rows of JSON: of a file of one object a line, of a list, or of an object of objects; shared by several importers."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amtts_core.corpus.importers.column_names import AUDIO_NAMES, TEXT_NAMES, plain_name
from amtts_core.corpus.importers.table import read_lines
from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text

LARGEST_DOCUMENT = 1 << 30
"""Bytes of a JSON document that is read as a whole."""
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson", ".jsonl.gz", ".json.gz", ".jsonlines")


def read_rows(table: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Number of the line, and its object or what is wrong with it, of a file of one object a line."""
    for line in read_lines(table):
        yield line.number, line.problem or _row(line.text)


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Number, and object or what is wrong with it, of each row of a file of any of the forms.

    Raises:
        AmttsError: a document that is no list and no object of rows, is damaged or too large.
    """
    if path.suffix.lower() != ".gz":
        if _is_lines([line.text for line in itertools.islice(read_lines(path), 2)]):
            yield from read_rows(path)
            return
        text = _text(path)
    else:
        text = _text(path)
        lines = [line for line in text.split("\n") if line.strip()]
        if _is_lines(lines[:2]):
            yield from enumerate(map(_row, lines), 1)
            return
    yield from enumerate(rows_of_document(_document(text, path), path), 1)


def is_json_name(path: Path) -> bool:
    """True for a name that JSON files have."""
    return path.name.lower().endswith(JSON_SUFFIXES)


def rows_of_document(document: Any, path: Path) -> list[dict[str, Any] | str]:
    """The rows of a document: a list of objects, such a list under a name, or objects or texts by id.

    Raises:
        AmttsError: it has none of these forms.
    """
    if isinstance(document, list):
        return [row if isinstance(row, dict) else _no_object(row) for row in document]
    if isinstance(document, dict):
        if is_row(document):
            return [document]
        lists = {k: v for k, v in document.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
        if len(lists) == 1:
            return rows_of_document(next(iter(lists.values())), path)
        values = list(document.values())
        if values and all(isinstance(value, dict) for value in values):
            return [{"id": key, **value} for key, value in document.items()]
        if len(values) > 1 and all(isinstance(value, str) for value in values):
            return [{"audio": key, "text": value} for key, value in document.items()]
        keys = ", ".join(map(str, list(document)[:10]))
        raise AmttsError(
            f"{path}: a JSON object with the keys {keys}, and no list of recordings with their texts",
            remedy='Expected one object a recording: {"audio": "a.wav", "text": "…"}',
        )
    raise AmttsError(f"{path}: JSON that is no list and no object, but {type(document).__name__}")


def is_row(value: dict[str, Any]) -> bool:
    """True for an object that is a row itself: it names a recording, or is a cut or a task of another tool."""
    names = set(map(plain_name, value))
    return bool(names & {*AUDIO_NAMES} - {"id", "name", "key"} and names & {*TEXT_NAMES, "messages"}) or (
        "supervisions" in value and "recording" in value
    )


def _is_lines(lines: Sequence[str]) -> bool:
    """True where the first two lines of a file are values of their own, and no beginning of a document."""
    values = [_value(line) for line in lines]
    if len(values) < 2:
        return not values or (isinstance(values[0], dict) and is_row(values[0]))
    return (
        isinstance(values[0], dict) or isinstance(values[1], dict) or lines[0].lstrip()[:1] not in ("{", "[")
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as handle:
                data = handle.read(LARGEST_DOCUMENT + 1)
        else:
            with path.open("rb") as handle:
                data = handle.read(LARGEST_DOCUMENT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise AmttsError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LARGEST_DOCUMENT:
        raise AmttsError(
            f"{path} has more than {LARGEST_DOCUMENT >> 20} MiB of JSON in one document",
            remedy="Write one object a line (.jsonl)",
        )
    return decode_text(data, source=str(path))


def _document(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise AmttsError(f"{path} is no valid JSON{where}", remedy="Export it again") from None


def _row(text: str) -> dict[str, Any] | str:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return "is not JSON"
    return row if isinstance(row, dict) else _no_object(row)


def _no_object(value: object) -> str:
    return f"is JSON but no object ({type(value).__name__})"


def first_row(table: Path) -> dict[str, Any]:
    """The first row of a file of one object a line; empty where there is none."""
    if not table.is_file():
        return {}
    row = next((row for _, row in read_rows(table)), {})
    return row if isinstance(row, dict) else {}


def text_of(row: dict[str, Any], *names: str) -> str:
    """The first of the fields that is text and not blank; empty where none is."""
    values = (row.get(name) for name in names)
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")
