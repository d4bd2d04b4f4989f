"""`audio_file|text[|speaker_name]` and its relatives (Coqui, XTTS, VITS file lists), with a header or without."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.importers.base import Reading
from amtts_core.corpus.importers.common_voice import CommonVoice
from amtts_core.corpus.importers.file_list import read_file_list
from amtts_core.corpus.importers.fleurs import Fleurs
from amtts_core.corpus.importers.hf import is_metadata
from amtts_core.corpus.importers.layout import detect_layout, layout_or_none, metadata_file, split_tables


class MetadataCsv:
    """A table whose columns are known by the header, or by which one names files that exist."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = (
        "metadata.csv (or one a split) with an audio and a text column in any order, and maybe a speaker"
    )

    def recognises(self, source: Path) -> bool:
        """True for a table that is neither LJSpeech's nor Common Voice's."""
        tables = split_tables(source) or [source]
        if any(is_metadata(table if table.is_file() else table / "metadata.csv") for table in tables):
            return False  # an audiofolder
        layouts = [layout_or_none(table) for table in tables]
        known = all(layout is not None and not layout.is_ljspeech for layout in layouts)
        return known and not CommonVoice().recognises(source) and not Fleurs().recognises(source)

    def read(self, source: Path) -> Reading:
        """Opens the table, or the tables of several splits one after the other; amtts makes splits of its own."""
        tables = split_tables(source) or [metadata_file(source)]
        readings = [
            read_file_list(table, layout_or_none(table) or detect_layout(table, table.parent))
            for table in tables
        ]
        if len(readings) == 1:
            return readings[0]
        totals = [reading.total for reading in readings]
        return Reading(
            readings[0].root,
            itertools.chain.from_iterable(reading.entries for reading in readings),
            None if None in totals else sum(total or 0 for total in totals),
            "; ".join(reading.summary for reading in readings),
        )
