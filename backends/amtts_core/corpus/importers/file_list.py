"""Reads a table of known layout into clips; shared by the importers of tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.layout import Layout, table_rows
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import Row, RowReader
from amtts_core.corpus.importers.table import fit_cells


def read_file_list(
    table: Path, layout: Layout, options: ReadOptions = ReadOptions(), *, speaker: str = "", label: str = ""
) -> Reading:
    """Opens `table`; its paths are looked up in its own folder.

    Args:
        table: a text file or spreadsheet.
        layout: of the table.
        options: what a person says about it.
        speaker: of rows that name none.
        label: how the table is called; empty takes its name.
    """
    locator = options.locator(table.parent, layout.pattern, above=layout.above)
    total = sum(1 for _ in table_rows(table, layout, locator))
    warnings: list[str] = []
    nameless = "speaker" not in layout.columns.roles and not speaker
    label = label or table.name
    reading = _entries(table, layout, locator, options, speaker, label, warnings)
    summary = f"{label}: {layout.describe()}"
    return Reading(locator.root, reading, total, summary, warnings, nameless, table, layout.columns)


def _entries(
    table: Path,
    layout: Layout,
    locator: AudioLocator,
    options: ReadOptions,
    speaker: str,
    label: str,
    warnings: list[str],
) -> Iterator[Clip | Fault]:
    columns = layout.columns
    separator = layout.dialect.separator if layout.dialect is not None else ""
    reader = RowReader(
        locator=locator,
        language=options.language,
        scale=layout.scale,
        lengths=layout.lengths if options.fit == "reject" else None,
        timed=layout.timed,
        first_channel=layout.first_channel,
        channel=options.channel,
        bilingual=layout.bilingual,
    )
    for number, read, text in table_rows(table, layout, locator):
        where = f"{label}:{number}"
        cells = (
            read
            if isinstance(read, str)
            else fit_cells(
                read,
                columns=columns.count,
                separator=separator,
                absorb=layout.absorb,
                optional=layout.optional,
            )
        )
        if isinstance(cells, str):
            finding = Finding(rule="malformed-line", reason=f"the line {cells}")
            yield Fault(where=where, finding=finding, text=text[:200])
            continue
        fields = {role: cells[column] for role, column in columns.roles.items()}
        fields.pop("split", None)  # amtts makes its own
        fields["speaker"] = fields.get("speaker") or speaker
        tags = {name: cells[column] for name, column in columns.tags.items() if cells[column]}
        yield reader.read(Row(**fields, tags=tags), where)
    warnings.extend(locator.notes())
