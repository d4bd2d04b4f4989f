"""FLEURS: `train.tsv`, `dev.tsv`, `test.tsv` of seven columns without a header; audio in `audio/<split>/`.

The first column numbers the sentence, not the recording, and repeats: several people read each sentence and none is
named. So the file's name is what tells recordings apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.table import read_lines
from amtts_core.errors import AmttsError

_PARTS = ("train", "dev", "test")
_COLUMNS = 7


class Fleurs:
    """The written transcription (with punctuation) is the text; the spelled-out columns are not used."""

    name: ClassVar[str] = "fleurs"
    summary: ClassVar[str] = "FLEURS: train/dev/test.tsv without header, audio/<split>/"

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where such a table has a number first, a file second and a number sixth."""
        return bool(_tables(source))

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the three tables, or one of them."""
        tables = _tables(source)
        if not tables:
            raise AmttsError(
                f"{source} is not FLEURS: no train.tsv with 7 columns (id, file, raw text, text, characters, "
                "samples, gender)",
                remedy="Give the folder that holds train.tsv and audio/",
            )
        root = tables[0].parent
        entries = itertools.chain.from_iterable(_entries(table, root, options) for table in tables)
        names = ", ".join(table.name for table in tables)
        return Reading(AudioLocator(root).root, entries, None, f"FLEURS: {names}")


def _tables(source: Path) -> list[Path]:
    candidates = [source / f"{part}.tsv" for part in _PARTS] if source.is_dir() else [source]
    return [table for table in candidates if table.is_file() and _is_table(table)]


def _is_table(table: Path) -> bool:
    line = next(read_lines(table), None)
    cells = line.text.split("\t") if line is not None else []
    return len(cells) == _COLUMNS and cells[0].isdigit() and cells[5].strip().isdigit() and "." in cells[1]


def _entries(table: Path, root: Path, options: ReadOptions) -> Iterator[Clip | Fault]:
    part = table.stem
    locators = [options.locator(root, (folder, "")) for folder in (f"audio/{part}", part)]
    for line in read_lines(table):
        where = f"{table.name}:{line.number}"
        cells = [cell.strip() for cell in line.text.split("\t")]
        if line.problem or len(cells) != _COLUMNS:
            problem = line.problem or f"has {len(cells)} columns, expected {_COLUMNS}"
            finding = Finding(rule="malformed-line", reason=f"the line {problem}")
            yield Fault(where=where, finding=finding, text=line.text[:200])
            continue
        _, named, text, _, _, _, gender = cells
        found: Path | Finding = Finding(rule="missing-file", reason="no audio file is named")
        for locator in locators:
            found = locator.find(named)
            if isinstance(found, Path):
                break
        if isinstance(found, Finding):
            yield Fault(where=where, finding=found, source=named, text=text)
            continue
        tags = {"gender": gender} if gender else {}
        source = locators[0].relative(found)
        yield Clip(
            where=where,
            path=found,
            source=source,
            text=text,
            tags=tags,
            distinct=True,
            channel=options.channel,
        )
