"""`audio_file|text[|speaker_name]` and its relatives (Coqui, XTTS, VITS file lists), with a header or without."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from amtts_core.data.importers.base import Reading
from amtts_core.data.importers.common_voice import CommonVoice
from amtts_core.data.importers.file_list import read_file_list
from amtts_core.data.importers.layout import detect_layout, layout_or_none, metadata_file


class MetadataCsv:
    """A table whose columns are known by the header, or by which one names files that exist."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = "metadata.csv with an audio and a text column in any order, and maybe a speaker"

    def recognises(self, source: Path) -> bool:
        """True for a table that is neither LJSpeech's nor Common Voice's."""
        layout = layout_or_none(source)
        return layout is not None and not layout.is_ljspeech and not CommonVoice().recognises(source)

    def read(self, source: Path) -> Reading:
        """Opens the table."""
        table = metadata_file(source)
        return read_file_list(table, layout_or_none(table) or detect_layout(table, table.parent))
