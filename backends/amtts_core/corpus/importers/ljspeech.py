"""LJSpeech: `id|raw text|normalized text` without a header, audio in `wavs/<id>.wav`; the third column may be empty."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.importers.base import Reading, ReadOptions
from amtts_core.corpus.importers.column_roles import Columns
from amtts_core.corpus.importers.file_list import read_file_list
from amtts_core.corpus.importers.layout import Layout, layout_or_none, metadata_file
from amtts_core.corpus.importers.table import SAMPLE, Dialect, read_lines
from amtts_core.errors import AmttsError


class LJSpeech:
    """A table of ids; the normalized text, where there is one, is what is normalized further."""

    name: ClassVar[str] = "ljspeech"
    summary: ClassVar[str] = "metadata.csv with id|raw|normalized or id|text, audio in wavs/<id>.wav"

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True for a table without a header whose first column needs a suffix to be a file's name."""
        layout = layout_or_none(source, options)
        return layout is not None and layout.is_ljspeech

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the table; the columns are those of LJSpeech where what they hold does not say otherwise."""
        table = metadata_file(source, options)
        layout = layout_or_none(table, options)
        return read_file_list(table, layout if layout is not None else _plain_layout(table), options)


def _plain_layout(table: Path) -> Layout:
    """Id, raw text and normalized text, though no recording is found.

    Raises:
        AmttsError: no `|` stands between the columns, or the table is empty.
    """
    counts = [line.text.count("|") for line, _ in zip(read_lines(table), range(SAMPLE), strict=False)]
    if not counts:
        raise AmttsError(f"{table} is empty", remedy="Expected: id|text")
    count = min(1 + max(set(counts), key=counts.count), 3)
    if count < 2:
        raise AmttsError(f"{table} is not LJSpeech: no | between its columns", remedy="Expected: id|text")
    roles = {"audio": 0, "text": 1} | ({"spoken": 2} if count == 3 else {})
    return Layout(Dialect(), header=False, columns=Columns(count, roles), pattern=("wavs", ".wav"))
