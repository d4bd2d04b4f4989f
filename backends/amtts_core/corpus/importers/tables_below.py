"""Tables in folders below a corpus folder: one for each speaker, or a folder of lists beside that of recordings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from amtts_core.corpus.importers.base import Reading, ReadOptions
from amtts_core.corpus.importers.chain import chain
from amtts_core.corpus.importers.file_list import read_file_list
from amtts_core.corpus.importers.layout import (
    Layout,
    known_layout,
    layout_or_none,
    metadata_file,
    split_tables,
)
from amtts_core.corpus.importers.walk import walk
from amtts_core.errors import AmttsError

_DEEPEST = 2
_MOST = 500  # folders


def tables_below(source: Path, options: ReadOptions = ReadOptions()) -> list[tuple[Path, Layout]]:
    """The tables in folders up to two levels below one that has none itself, and how each is read."""
    if not source.is_dir():
        return []
    found: list[tuple[Path, Layout]] = []
    for folder in _folders(source):
        tables = split_tables(folder, options)
        if not tables and layout_or_none(folder, options) is not None:
            tables = [metadata_file(folder, options)]
        for table in tables:
            try:
                found.append((table, known_layout(table, options)))
            except (AmttsError, OSError):
                continue
    return found


def _folders(source: Path) -> Iterator[Path]:
    for count, (folder, _) in enumerate(walk(source)):
        if count > _MOST:
            return
        if folder and folder.count(os.sep) < _DEEPEST:
            yield source / folder


def read_tables_below(source: Path, options: ReadOptions) -> Reading:
    """All of them one after the other; a folder is a person where several have tables that name no speaker.

    Raises:
        AmttsError: there is none.
    """
    found = tables_below(source, options)
    if not found:
        raise AmttsError(f"{source} holds no table, and neither do the folders below it")
    own = {table.parent for table, layout in found if not layout.above}
    nameless = all("speaker" not in layout.columns.roles for _, layout in found)
    apart = nameless and len(own) > 1 and not options.speaker
    readings = [
        read_file_list(table, layout, options, speaker=table.parent.name if apart else "")
        for table, layout in found
    ]
    summary = f"speakers by their folders: {', '.join(sorted(f.name for f in own)[:8])}; " if apart else ""
    first = "; ".join(reading.summary for reading in readings[:2])
    return chain(readings, source, summary=f"{len(readings)} tables; {summary}{first}")
