"""`audio_file|text[|speaker_name]` and its relatives: Coqui, XTTS, VITS file lists, spreadsheets."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.importers.base import Reading, ReadOptions
from amtts_core.corpus.importers.chain import chain
from amtts_core.corpus.importers.common_voice import CommonVoice
from amtts_core.corpus.importers.file_list import read_file_list
from amtts_core.corpus.importers.fleurs import Fleurs
from amtts_core.corpus.importers.hf import is_metadata
from amtts_core.corpus.importers.layout import known_layout, layout_or_none, metadata_file, split_tables
from amtts_core.corpus.importers.tables_below import read_tables_below, tables_below


class MetadataCsv:
    """A table whose columns are known by the header, or by what they hold."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = (
        "a table or spreadsheet with an audio and a text column in any order, maybe speaker, times, language"
    )

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True for a table that is neither LJSpeech's nor Common Voice's."""
        tables = split_tables(source, options) or [source]
        if any(is_metadata(table if table.is_file() else table / "metadata.csv") for table in tables):
            return False  # an audiofolder
        layouts = [layout_or_none(table, options) for table in tables]
        known = all(layout is not None and not layout.is_ljspeech for layout in layouts)
        return known and not CommonVoice().recognizes(source) and not Fleurs().recognizes(source)

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the table, or the tables of several splits one after the other; amtts makes splits of its own."""
        tables = split_tables(source, options)
        if (
            not tables
            and source.is_dir()
            and layout_or_none(source, options) is None
            and tables_below(source, options)
        ):
            return read_tables_below(source, options)
        tables = tables or [metadata_file(source, options)]
        readings = [read_file_list(table, known_layout(table, options), options) for table in tables]
        return chain(readings, tables[0].parent)
