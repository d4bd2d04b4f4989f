"""Files of texts: lines, tables, JSON Lines, captions, Markdown, HTML, EPUB. Their names say which they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from amtts_core.errors import AmttsError, nearest
from amtts_core.synthesis.batch.rows import Row
from amtts_core.text.decoding import decode_text

KINDS = {
    ".txt": "lines",
    ".text": "lines",
    ".csv": "table",
    ".tsv": "table",
    ".psv": "table",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".srt": "captions",
    ".vtt": "captions",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".ssml": "prose",
    ".xml": "prose",
    ".epub": "epub",
}
COLUMNS = {
    "id": ("id", "name", "key", "utterance", "utt_id", "file_id", "ስም"),
    "text": ("text", "sentence", "transcript", "transcription", "prompt", "content", "line", "ጽሑፍ"),
    "speaker": ("speaker", "spk", "speaker_id"),
    "voice": ("voice", "reference", "prompt_audio"),
    "out": ("out", "output", "file", "audio_file", "filename", "path", "audio", "wav"),
}
"""Column or key -> what tables and JSON call it."""
_ORDER = ("id", "text", "speaker", "voice", "out")
_DELIMITERS = ("\t", "|", ";", ",")
_SUBTITLES = "WEBVTT"


def read_file(path: Path) -> bytes:
    """The bytes of a file of texts.

    Raises:
        AmttsError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise AmttsError(f"text file {path}: {error.strerror}") from None


def kind_of(path: Path) -> str:
    """What a file of texts is, by its ending; a file of another ending is lines."""
    return KINDS.get(path.suffix.lower(), "lines")


def read_rows(path: Path) -> list[Row]:
    """The texts of a file, in order.

    Raises:
        AmttsError: it cannot be read, is not what its name says, or holds no text.
    """
    kind = kind_of(path)
    if kind == "epub":
        from amtts_core.synthesis.batch.books import read_epub

        rows = read_epub(path)
    else:
        text = decode_text(read_file(path), source=str(path))
        rows = list(_READERS[kind](text, path))
    if not any(row.text.strip() or row.problem for row in rows):
        raise AmttsError(f"{path} is empty", remedy="Give at least one sentence")
    return rows


def rows_of_lines(text: str, *, source: str = "line") -> list[Row]:
    """A row a line that is not empty; numbered as the lines are counted among those with text."""
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            rows.append(Row(id=f"{len(rows) + 1:04d}", text=line, place=f"{source} {number}"))
    return rows


def _lines(text: str, path: Path) -> Iterator[Row]:
    yield from rows_of_lines(text)


def _prose(text: str, path: Path) -> Iterator[Row]:
    yield Row(id=path.stem, text=text, place=path.name)


def _table(text: str, path: Path) -> Iterator[Row]:
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(lines)
    quoted = delimiter in (",", ";")
    rows = io.StringIO("\n".join(text.splitlines()))
    found = list(
        csv.reader(rows, delimiter=delimiter)
        if quoted
        else csv.reader(rows, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    )
    numbered = [
        (number, cells) for number, cells in enumerate(found, 1) if any(cell.strip() for cell in cells)
    ]
    columns = _header(numbered[0][1]) if numbered else None
    if columns is None:
        width = max((len(cells) for _, cells in numbered), default=0)
        columns = {"text": 0} if width == 1 else dict(zip(_ORDER, range(width), strict=False))
    else:
        numbered = numbered[1:]
    for count, (number, cells) in enumerate(numbered, 1):
        values = {name: cells[at].strip() if at < len(cells) else "" for name, at in columns.items()}
        yield _row(values, place=f"line {number}", count=count)


def _delimiter(lines: list[str]) -> str:
    """The delimiter that stands in every line, most often as the first of tab, |, ; and comma."""
    for delimiter in _DELIMITERS:
        if lines and all(delimiter in line for line in lines):
            return delimiter
    return next((d for d in _DELIMITERS if lines and sum(d in line for line in lines) * 2 > len(lines)), ",")


def _header(cells: list[str]) -> dict[str, int] | None:
    """Column -> place where the first line names its columns."""
    named = {cell.strip().lower().lstrip("\ufeff"): at for at, cell in enumerate(cells)}
    found = {
        column: next(named[name] for name in names if name in named)
        for column, names in COLUMNS.items()
        if any(name in named for name in names)
    }
    return found if "text" in found else None


def _row(values: dict[str, str], *, place: str, count: int) -> Row:
    problem = "" if values.get("text") else "it has no text"
    return Row(
        id=values.get("id") or f"{count:04d}",
        text=values.get("text", ""),
        place=place,
        speaker=values.get("speaker", ""),
        voice=values.get("voice", ""),
        out=values.get("out", ""),
        problem=problem,
    )


def _json_lines(text: str, path: Path) -> Iterator[Row]:
    count = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        count += 1
        place = f"line {number}"
        try:
            yield _json_row(json.loads(line), place=place, count=count, path=path)
        except ValueError as error:
            yield Row(id=f"{count:04d}", text="", place=place, problem=f"it is not JSON ({error})")


def _json(text: str, path: Path) -> Iterator[Row]:
    try:
        found = json.loads(text)
    except ValueError:
        yield from _json_lines(text, path)  # JSON Lines under another name
        return
    rows = found if isinstance(found, list) else [found]
    for count, row in enumerate(rows, 1):
        yield _json_row(row, place=f"entry {count}", count=count, path=path)


def _json_row(found: object, *, place: str, count: int, path: Path) -> Row:
    if isinstance(found, str):
        return Row(
            id=f"{count:04d}", text=found, place=place, problem="" if found.strip() else "it has no text"
        )
    if not isinstance(found, dict):
        return Row(id=f"{count:04d}", text="", place=place, problem="it is no JSON object with a text")
    lowered = {str(key).lower(): value for key, value in found.items()}
    values: dict[str, str] = {}
    for column, names in COLUMNS.items():
        value = next((lowered[name] for name in names if name in lowered), None)
        if isinstance(value, (str, int, float)):
            values[column] = str(value)
    if "text" not in values:
        known = ", ".join(lowered) or "none"
        raise AmttsError(
            f'{path}: {place} has no "text"{nearest("text", lowered)}; its keys: {known}',
            remedy='Write {"id": "a1", "text": "ሰላም"}',
        )
    return _row(values, place=place, count=count)


def _captions(text: str, path: Path) -> Iterator[Row]:
    from amtts_core.corpus.subtitles.parse import parse_subtitles

    track = parse_subtitles(text)
    if not track.cues:
        raise AmttsError(
            f"{path} holds no caption with a time",
            remedy="A caption begins with 00:00:01,000 --> 00:00:03,000",
        )
    for cue in track.cues:
        yield Row(
            id=f"{cue.number:04d}",
            text=" ".join(cue.text.split()),
            place=f"caption {cue.number}",
            start=cue.start,
            end=cue.end,
            problem="" if cue.text.strip() else "it has no text",
        )
    for cue, finding in track.dropped:
        yield Row(
            id=f"{cue.number:04d}", text=cue.text, place=f"caption {cue.number}", problem=finding.reason
        )


def _markdown(text: str, path: Path) -> Iterator[Row]:
    from amtts_core.synthesis.batch.prose import markdown_text

    yield Row(id=path.stem, text=markdown_text(text), place=path.name)


def _html(text: str, path: Path) -> Iterator[Row]:
    from amtts_core.synthesis.batch.prose import html_text

    yield Row(id=path.stem, text=html_text(text), place=path.name)


_READERS = {
    "lines": _lines,
    "table": _table,
    "jsonl": _json_lines,
    "json": _json,
    "captions": _captions,
    "markdown": _markdown,
    "html": _html,
    "prose": _prose,
}
