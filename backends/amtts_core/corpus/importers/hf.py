"""Hugging Face datasets as they lie on disk: parquet, `save_to_disk`, or an audiofolder with metadata.csv or .jsonl."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.importers.base import Reading, ReadOptions
from amtts_core.corpus.importers.chain import chain
from amtts_core.corpus.importers.file_list import read_file_list
from amtts_core.corpus.importers.hf_parquet import parquet_entries
from amtts_core.corpus.importers.json_manifest import open_manifest
from amtts_core.corpus.importers.json_rows import first_row
from amtts_core.corpus.importers.layout import known_layout
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.table import read_lines
from amtts_core.corpus.importers.walk import files_under, first_under
from amtts_core.errors import AmttsError

_METADATA = ("metadata.csv", "metadata.jsonl")
_FILE = "file_name"
_STATE = "state.json"


class HuggingFace:
    """Splits of the dataset are read one after the other; amtts makes its own."""

    name: ClassVar[str] = "hf"
    summary: ClassVar[str] = (
        "a Hugging Face dataset: parquet files, a folder of save_to_disk, or an audiofolder with metadata.csv or .jsonl"
    )

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True for parquet and arrow files, and for metadata whose first column of files is called `file_name`."""
        if source.is_dir():
            columnar = first_under(source, {".parquet"}) is not None or bool(_arrows(source))
            return columnar or bool(_metadata(source))
        return source.suffix.lower() in (".parquet", ".arrow") or is_metadata(source)

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens every parquet or arrow file under the source, or else every metadata file."""
        folder = source if source.is_dir() else source.parent
        root = AudioLocator(folder).root
        tables = _columnar(source)
        if tables:
            kind = "arrow" if tables[0].endswith(".arrow") else "parquet"
            entries = parquet_entries(folder, tables, options)
            return Reading(root, entries, None, f"{len(tables)} {kind} file(s)")
        found = _metadata(source) if source.is_dir() else [source] if is_metadata(source) else []
        if not found:
            raise AmttsError(
                f"{source} holds neither parquet files nor a metadata.csv or metadata.jsonl with a {_FILE} column"
            )
        return chain([_open(table, options) for table in found], folder)


def _open(table: Path, options: ReadOptions) -> Reading:
    if table.suffix == ".jsonl":
        return open_manifest(table, options)
    return read_file_list(table, known_layout(table, options), options)


def _columnar(source: Path) -> list[str]:
    if not source.is_dir():
        return [source.name] if source.suffix.lower() in (".parquet", ".arrow") else []
    return list(files_under(source, {".parquet"})) or _arrows(source)


def _arrows(source: Path) -> list[str]:
    """The data files of folders that `save_to_disk` wrote, as their `state.json` lists them.

    Raises:
        AmttsError: the rows were chosen by an index, which amtts does not apply.
    """
    found = []
    for name in files_under(source, {_STATE}):
        try:
            state = json.loads((source / name).read_text(encoding="utf-8"))
            listed = [str(entry["filename"]) for entry in state["_data_files"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if state.get("_indices_files") or state.get("_indices_data_files"):
            raise AmttsError(
                f"{source / name}: the dataset was filtered or shuffled and saved with an index",
                remedy="Save it again: dataset.flatten_indices().save_to_disk(FOLDER)",
            )
        folder = os.path.dirname(name)
        found += [os.path.join(folder, entry) for entry in listed if os.path.basename(entry) == entry]
    return found


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
