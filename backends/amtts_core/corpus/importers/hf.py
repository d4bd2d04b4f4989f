"""Hugging Face datasets as they lie on disk: parquet files, or an audiofolder with metadata.csv or .jsonl."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading
from amtts_core.corpus.importers.hf_parquet import parquet_entries
from amtts_core.corpus.importers.json_rows import first_row, read_rows, text_of
from amtts_core.corpus.importers.layout import SPEAKER_NAMES, SPOKEN_NAMES, TEXT_NAMES
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.table import read_lines
from amtts_core.corpus.importers.walk import files_under, first_under
from amtts_core.errors import AmttsError

_METADATA = ("metadata.csv", "metadata.jsonl")
_FILE = "file_name"
_TAGS = ("gender", "locale", "language", "age", "accent", "licence", "license")


class HuggingFace:
    """Splits of the dataset are read one after the other; amtts makes its own."""

    name: ClassVar[str] = "hf"
    summary: ClassVar[str] = (
        "a Hugging Face dataset: parquet files, or an audiofolder with metadata.csv or .jsonl"
    )

    def recognises(self, source: Path) -> bool:
        """True for parquet files, and for metadata whose first column of files is called `file_name`."""
        if source.is_dir():
            return bool(_metadata(source)) or first_under(source, {".parquet"}) is not None
        return source.suffix.lower() == ".parquet" or is_metadata(source)

    def read(self, source: Path) -> Reading:
        """Opens every parquet file under the source, or else every metadata file."""
        folder = source if source.is_dir() else source.parent
        root = AudioLocator(folder).root
        tables = _parquets(source)
        if tables:
            return Reading(root, parquet_entries(folder, tables), None, f"{len(tables)} parquet file(s)")
        found = _metadata(source) if source.is_dir() else [source] if is_metadata(source) else []
        if not found:
            raise AmttsError(
                f"{source} holds neither parquet files nor a metadata.csv or metadata.jsonl with a {_FILE} column"
            )
        entries = itertools.chain.from_iterable(_entries(folder, table) for table in found)
        return Reading(root, entries, None, f"audiofolder: {', '.join(table.name for table in found)}")


def _parquets(source: Path) -> list[str]:
    if not source.is_dir():
        return [source.name] if source.suffix.lower() == ".parquet" else []
    return list(files_under(source, {".parquet"}))


def _metadata(source: Path) -> list[Path]:
    return [path for path in (source / name for name in files_under(source, _METADATA)) if is_metadata(path)]


def is_metadata(path: Path) -> bool:
    """True for an audiofolder's metadata file: it has a `file_name` column."""
    if path.suffix == ".jsonl":
        return _FILE in first_row(path)
    if path.suffix != ".csv" or not path.is_file():
        return False
    line = next(read_lines(path), None)
    try:
        return line is not None and _FILE in next(csv.reader([line.text]), [])
    except csv.Error:
        return False


def _rows(table: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    if table.suffix == ".jsonl":
        yield from read_rows(table)
        return
    # The hub's metadata.csv is CSV indeed, written by pandas: quotes quote.
    problems: dict[int, str] = {}

    def lines() -> Iterator[str]:
        for line in read_lines(table):
            if line.problem:
                problems[line.number] = line.problem
            else:
                yield line.text + "\n"

    reader = csv.DictReader(lines(), restkey="")
    for number in itertools.count(2):
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:  # goes on with the next line
            yield number, f"is not CSV ({error})"
            continue
        cells = _cells(row)
        yield number, cells if cells is not None else "has another number of columns than the header"
    for number, problem in problems.items():
        yield number, problem


def _cells(row: Mapping[Any, Any]) -> dict[str, str] | None:
    """A csv row with its cells as text; None where it has more or fewer cells than the header."""
    if "" in row or any(value is None for value in row.values()):
        return None
    return {str(name): str(value) for name, value in row.items()}


def _entries(folder: Path, table: Path) -> Iterator[Clip | Fault]:
    locator, outer = AudioLocator(table.parent), AudioLocator(folder)
    label = os.path.relpath(table, folder)
    for number, row in _rows(table):
        where = f"{label}:{number}"
        if isinstance(row, str):
            finding = Finding(rule="malformed-line", reason=f"the line {row}")
            yield Fault(where=where, finding=finding)
            continue
        named, text, speaker = text_of(row, _FILE), text_of(row, *TEXT_NAMES), text_of(row, *SPEAKER_NAMES)
        found = locator.find(named)
        if isinstance(found, Finding):
            yield Fault(where=where, finding=found, source=named, text=text, speaker=speaker)
            continue
        yield Clip(
            where=where,
            path=found,
            source=outer.relative(found),
            text=text,
            spoken=text_of(row, *SPOKEN_NAMES) if text else "",
            speaker=speaker,
            tags={name: value for name in _TAGS if (value := text_of(row, name))},
        )
