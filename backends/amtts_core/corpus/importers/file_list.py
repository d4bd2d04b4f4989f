"""Reads a table of known layout into clips; shared by the importers of tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading
from amtts_core.corpus.importers.layout import Layout
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.table import count_lines, read_lines, split_columns


def read_file_list(table: Path, layout: Layout) -> Reading:
    """Opens `table`; its paths are looked up in its own folder."""
    locator = AudioLocator(table.parent, layout.pattern)
    total = count_lines(table) - layout.header
    return Reading(
        locator.root, _entries(table, layout, locator), total, f"{table.name}: {layout.describe()}"
    )


def _entries(table: Path, layout: Layout, locator: AudioLocator) -> Iterator[Clip | Fault]:
    lines = read_lines(table)
    if layout.header:
        next(lines, None)
    for line in lines:
        where = f"{table.name}:{line.number}"
        cells = line.problem or split_columns(
            line.text,
            layout.separator,
            columns=layout.columns,
            absorb=layout.absorb,
            optional=layout.optional,
        )
        if isinstance(cells, str):
            finding = Finding(rule="malformed-line", reason=f"the line {cells}")
            yield Fault(where=where, finding=finding, text=line.text[:200])
            continue
        named, text = cells[layout.audio], cells[layout.text]
        spoken = "" if layout.spoken is None else cells[layout.spoken]
        speaker = "" if layout.speaker is None else cells[layout.speaker]
        found = locator.find(named)
        if isinstance(found, Finding):
            yield Fault(where=where, finding=found, source=named, text=text, speaker=speaker)
        else:
            source = locator.relative(found)
            yield Clip(where=where, path=found, source=source, text=text, spoken=spoken, speaker=speaker)
