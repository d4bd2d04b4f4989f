"""Common Voice: tab-separated tables, read by the names of their columns as these differ by release; mp3 in clips/.

Scripted speech (`validated.tsv`, or `train.tsv`, `dev.tsv` and `test.tsv`) and spontaneous speech (`ss-corpus-am.tsv`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.chain import chain
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import Row, RowReader
from amtts_core.corpus.importers.table import read_lines
from amtts_core.errors import AmttsError

_SCRIPTED = {"audio": "path", "text": "sentence", "speaker": "client_id"}
_SPONTANEOUS = {"audio": "audio_file", "text": "transcription", "speaker": "client_id"}
_KINDS = (_SCRIPTED, _SPONTANEOUS)
_LANGUAGES = ("locale", "language")
_TAGS = ("gender", "age", "accents", "accent", "variant", "licence", "license")
_PARTS = ("train.tsv", "dev.tsv", "test.tsv")
_ASIDE = ("other.tsv", "invalidated.tsv")


class CommonVoice:
    """The validated clips of a release; the client id is the speaker."""

    name: ClassVar[str] = "common-voice"
    summary: ClassVar[str] = "a Common Voice release: validated.tsv or train/dev/test.tsv, or ss-corpus-*.tsv"

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where a table's header names a client, a recording and a sentence."""
        return bool(_tables(source))

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens `validated.tsv`, or the three parts of it, or the table itself."""
        tables = _tables(source, options.language)
        if not tables:
            raise AmttsError(
                f"{source} is no Common Voice release: no validated.tsv with the columns "
                f"{', '.join(_SCRIPTED.values())}",
                remedy="Give the folder that holds validated.tsv and clips/",
            )
        folder = tables[0].parent
        if not any(_has_rows(table) for table in tables) and (others := _others(folder)):
            names = ", ".join(str(other) for other in others)
            raise AmttsError(
                f"{tables[0]} holds no clip; clips that nobody has validated are in {names}",
                remedy=f"Read those: amtts prepare {others[0]} --out DIR",
            )
        locator = options.locator(folder, ("clips", ""))
        warnings: list[str] = []
        entries = itertools.chain.from_iterable(_entries(table, locator, options) for table in tables)
        names = ", ".join(table.name for table in tables)
        reading = Reading(
            locator.root, _problem_of(entries, locator, warnings), None, f"Common Voice: {names}", warnings
        )
        return chain([reading], source if source.is_dir() else folder)


def _problem_of(
    entries: Iterator[Clip | Fault], locator: AudioLocator, warnings: list[str]
) -> Iterator[Clip | Fault]:
    yield from entries
    warnings.extend(locator.notes())


def _tables(source: Path, language: str = "am") -> list[Path]:
    """The tables of a release, of a table itself, or of the locale below the folder of a release."""
    if not source.is_dir():
        return [source] if _kind(source) else []
    for folder in (source, source / language):
        if _kind(folder / "validated.tsv"):
            return [folder / "validated.tsv"]
        if parts := [folder / name for name in _PARTS if _kind(folder / name)]:
            return parts
        spontaneous = sorted(folder.glob("ss-corpus-*.tsv")) if folder.is_dir() else []
        if own := [table for table in spontaneous if _kind(table) is _SPONTANEOUS]:
            return [table for table in own if table.stem.endswith(f"-{language}")] or own
    return []


def _others(folder: Path) -> list[Path]:
    return [folder / name for name in _ASIDE if _kind(folder / name) and _has_rows(folder / name)]


def _has_rows(table: Path) -> bool:
    return next(itertools.islice(read_lines(table), 1, None), None) is not None


def _columns(table: Path) -> list[str]:
    """Names of the columns; empty where there are none."""
    if not table.is_file():
        return []
    line = next(read_lines(table), None)
    if line is None or line.problem:
        return []
    return [cell.strip() for cell in line.text.split("\t")]


def _kind(table: Path) -> dict[str, str]:
    """The columns that are used; empty where it is no table of Common Voice."""
    names = _columns(table)
    return next((kind for kind in _KINDS if all(name in names for name in kind.values())), {})


def _entries(table: Path, locator: AudioLocator, options: ReadOptions) -> Iterator[Clip | Fault]:
    names, kind = _columns(table), _kind(table)
    reader = RowReader(locator=locator, language=options.language, channel=options.channel)
    for line in itertools.islice(read_lines(table), 1, None):
        where = f"{table.name}:{line.number}"
        cells = line.text.split("\t")  # never CSV: quotes are not escaped
        short = len(cells) <= max(names.index(name) for name in kind.values())
        if line.problem or short or len(cells) > len(names):
            problem = line.problem or f"has {len(cells)} columns, expected {len(names)}"
            finding = Finding(rule="malformed-line", reason=f"the line {problem}")
            yield Fault(where=where, finding=finding, text=line.text[:200])
            continue
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
        fields = {role: row[name] for role, name in kind.items()}
        language = next((row[name] for name in _LANGUAGES if row.get(name)), "")
        tags = {name: row[name] for name in _TAGS if row.get(name)}
        yield reader.read(Row(**fields, language=language, tags=tags), where)
