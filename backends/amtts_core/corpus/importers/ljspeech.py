"""LJSpeech: `id|raw text|normalised text` without a header, audio in `wavs/<id>.wav`; the third column may be empty."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.importers.base import Reading
from amtts_core.corpus.importers.file_list import read_file_list
from amtts_core.corpus.importers.layout import Layout, layout_or_none, metadata_file, usual_columns
from amtts_core.errors import AmttsError


class LJSpeech:
    """A table of ids; the normalised text, where there is one, is what is normalised further."""

    name: ClassVar[str] = "ljspeech"
    summary: ClassVar[str] = "metadata.csv with id|raw|normalised or id|text, audio in wavs/<id>.wav"

    def recognises(self, source: Path) -> bool:
        """True for a table without a header whose first column needs a suffix to be a file's name."""
        layout = layout_or_none(source)
        return layout is not None and layout.is_ljspeech

    def read(self, source: Path) -> Reading:
        """Opens the table."""
        table = metadata_file(source)
        columns = min(usual_columns(table, "|"), 3)
        if columns < 2:
            raise AmttsError(f"{table} is not LJSpeech: no | between its columns", remedy="Expected: id|text")
        spoken = 2 if columns == 3 else None
        layout = Layout("|", False, columns, audio=0, text=1, spoken=spoken, pattern=("wavs", ".wav"))
        return read_file_list(table, layout)
