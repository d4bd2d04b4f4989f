"""Common Voice: tab-separated tables, read by the names of their columns as these differ by release; mp3 in clips/."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.table import read_lines
from amtts_core.errors import AmttsError

_NEEDED = ("client_id", "path", "sentence")
_TAGS = ("gender", "age", "accents", "accent", "variant", "licence", "license")
_PARTS = ("train.tsv", "dev.tsv", "test.tsv")


class CommonVoice:
    """The validated clips of a release; the client id is the speaker."""

    name: ClassVar[str] = "common-voice"
    summary: ClassVar[str] = "a Common Voice release: validated.tsv or train/dev/test.tsv, and clips/"

    def recognises(self, source: Path) -> bool:
        """True where a table's header names a client, a path and a sentence."""
        return bool(_tables(source))

    def read(self, source: Path) -> Reading:
        """Opens `validated.tsv`, or the three parts of it, or the table itself."""
        tables = _tables(source)
        if not tables:
            raise AmttsError(
                f"{source} is no Common Voice release: no validated.tsv with the columns {', '.join(_NEEDED)}",
                remedy="Give the folder that holds validated.tsv and clips/",
            )
        locator = AudioLocator(tables[0].parent, ("clips", ""))
        names = ", ".join(table.name for table in tables)
        entries = itertools.chain.from_iterable(_entries(table, locator) for table in tables)
        return Reading(locator.root, entries, None, f"Common Voice: {names}")


def _tables(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source] if _columns(source) else []
    if _columns(source / "validated.tsv"):
        return [source / "validated.tsv"]
    return [source / name for name in _PARTS if _columns(source / name)]


def _columns(table: Path) -> list[str]:
    """Names of the columns; empty where it is no table of Common Voice."""
    if not table.is_file():
        return []
    line = next(read_lines(table), None)
    if line is None or line.problem:
        return []
    names = [cell.strip() for cell in line.text.split("\t")]
    return names if all(name in names for name in _NEEDED) else []


def _entries(table: Path, locator: AudioLocator) -> Iterator[Clip | Fault]:
    names = _columns(table)
    for line in itertools.islice(read_lines(table), 1, None):
        where = f"{table.name}:{line.number}"
        cells = line.text.split("\t")  # never CSV: quotes are not escaped
        short = len(cells) <= max(names.index(name) for name in _NEEDED)
        if line.problem or short or len(cells) > len(names):
            told = line.problem or f"has {len(cells)} columns, expected {len(names)}"
            finding = Finding(rule="malformed-line", reason=f"the line {told}")
            yield Fault(where=where, finding=finding, text=line.text[:200])
            continue
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
        named, text, speaker = row["path"], row["sentence"], row["client_id"]
        found = locator.find(named)
        if isinstance(found, Finding):
            yield Fault(where=where, finding=found, source=named, text=text, speaker=speaker)
            continue
        tags = {name: row[name] for name in _TAGS if row.get(name)}
        source = locator.relative(found)
        yield Clip(where=where, path=found, source=source, text=text, speaker=speaker, tags=tags)
