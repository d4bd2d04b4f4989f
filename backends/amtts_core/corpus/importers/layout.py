"""How a table is to be read: its dialect, its header and the roles of its columns, from its first rows."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from amtts_core.corpus.importers.base import ReadOptions
from amtts_core.corpus.importers.column_names import unit_in_name
from amtts_core.corpus.importers.column_roles import Columns
from amtts_core.corpus.importers.columns import decide_columns, looks_like_header
from amtts_core.corpus.importers.lengths import MEASURED, length_scale, measured, without_origin
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.sheet import SHEET_SUFFIXES, read_sheets
from amtts_core.corpus.importers.table import (
    QUOTING,
    SAMPLE,
    Dialect,
    Line,
    detect_dialect,
    read_lines,
    read_records,
    spaced_dialect,
    split_cells,
)
from amtts_core.corpus.importers.times import Scale, find_scale, read_time
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, first_under, suffix_of
from amtts_core.corpus.subtitles.languages import own_part
from amtts_core.errors import AmttsError

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".list", ".lst", ".psv", *SHEET_SUFFIXES)
_MOST_TABLES = 20
_NO_TABLES = ("speakers", "speaker-info", "readme", "license", "licence", "clip_durations")
_SPLIT_NAME = re.compile(
    r"(?P<stem>.*?)[_-]?(?:train|training|eval|val|valid|validation|dev|test)(?P<rest>.*?)(?P<suffix>\.\w+)"
)
_HEADER_REMEDY = "Write a header as the first line: audio_file|text or audio_file|text|speaker_name"


@dataclass(frozen=True)
class Layout:
    """How a table is to be read.

    Attributes:
        dialect: of a text file; None for a spreadsheet.
        sheet: name of the sheet of a spreadsheet.
        header: the first row names the columns.
        columns: their roles.
        scale: of the times.
        lengths: of the durations, where these are the lengths of whole recordings.
        first_channel: how the first channel is numbered.
        pattern: folder and suffix that the names of the recordings need.
        above: the recordings are named from the folder above the table's.
        first: the first row, for people.
        bilingual: most texts say the same in another script as well.
    """

    dialect: Dialect | None
    header: bool
    columns: Columns
    sheet: str = ""
    scale: Scale = field(default_factory=Scale)
    lengths: Scale | None = None
    first_channel: int = 0
    pattern: tuple[str, str] = ("", "")
    above: bool = False
    first: Sequence[str] = ()
    bilingual: bool = False

    @property
    def absorb(self) -> int | None:
        """The column that may hold the separator."""
        roles = self.columns.roles
        if self.dialect is None or "spoken" in roles:
            return None
        last = roles["text"] == self.columns.count - 1
        return roles["text"] if last or not self.dialect.quotes else None

    @property
    def optional(self) -> bool:
        """True where the last column may be missing from a line."""
        return self.columns.roles.get("spoken") == self.columns.count - 1

    @property
    def timed(self) -> bool:
        """True where the rows cut their recordings."""
        return "start" in self.columns.roles or "end" in self.columns.roles

    @property
    def is_ljspeech(self) -> bool:
        """True for ids first and no header, and nothing but texts after them."""
        roles = set(self.columns.roles)
        pipes = self.dialect is not None and self.dialect.separator == "|"
        plain = roles <= {"audio", "text", "spoken"} and self.columns.roles["audio"] == 0
        return pipes and not self.header and plain and bool(self.pattern[1])

    def describe(self) -> str:
        """The columns' roles and the first row, in one line."""
        how = f"sheet {self.sheet!r}" if self.dialect is None else f"separated by {self.dialect.sign}"
        unit = f"; times in {self.scale.unit}" if self.timed else ""
        shown = " | ".join(cell if len(cell) <= 40 else f"{cell[:39]}…" for cell in self.first)
        two = "; texts in two languages, the other one is left out" if self.bilingual else ""
        return f"{self.columns.describe()}{unit}{two}; {how}; first row: {shown}"


def detect_layout(path: Path, root: Path, options: ReadOptions = ReadOptions()) -> Layout:
    """The layout of a table, from its first lines.

    Raises:
        AmttsError: empty, no columns, or columns that cannot be told apart.
    """
    if suffix_of(path.name) in SHEET_SUFFIXES:
        return _sheet_layout(path, root, options)
    sample = list(itertools.islice(read_lines(path), SAMPLE))
    if not sample:
        raise AmttsError(f"{path} is empty", remedy=_HEADER_REMEDY)
    if sample[0].text.lstrip().startswith(("{", "[{", "<?xml", "<!DOCTYPE", "<html")):
        raise AmttsError(f"{path} is no table: it begins with {sample[0].text.strip()[:40]!r}")
    if all(line.problem for line in sample):
        raise AmttsError(f"{path}: line 1 {sample[0].problem}", remedy="Save it as UTF-8 text")
    locator = options.locator(root, above=_is_above(root))
    dialect = spaced_dialect(sample, locator.names_a_file) or detect_dialect(sample, path)
    read = [
        line.problem or split_cells(line.text, dialect)
        for line in itertools.islice(read_records(path, dialect), SAMPLE)
    ]
    rows = [cells for cells in read if not isinstance(cells, str)]
    if not rows:
        raise AmttsError(f"{path} is empty", remedy=_HEADER_REMEDY)
    return _layout(rows, dialect, "", path, root, options, headless=isinstance(read[0], str))


def first_rows(table: Path, count: int = 8) -> list[list[str]]:
    """The cells of a table's first rows, whatever its columns mean.

    Raises:
        AmttsError: it has no cells that can be told apart.
    """
    if suffix_of(table.name) in SHEET_SUFFIXES:
        rows = next((rows for _, rows in read_sheets(table)), [])
        return [row for row in rows if any(row)][:count]
    sample = list(itertools.islice(read_lines(table), SAMPLE))
    dialect = detect_dialect(sample, table)
    cells = (split_cells(line.text, dialect) for line in read_records(table, dialect))
    return list(itertools.islice((row for row in cells if not isinstance(row, str)), count))


def _sheet_layout(path: Path, root: Path, options: ReadOptions) -> Layout:
    faults: list[AmttsError] = []
    for name, rows in read_sheets(path):
        filled = [row for row in rows[:SAMPLE] if any(row)]
        try:
            return _layout(filled, None, name, path, root, options)
        except AmttsError as fault:
            faults.append(fault)
    raise faults[0] if faults else AmttsError(f"{path} is empty", remedy=_HEADER_REMEDY)


def _layout(
    rows: list[list[str]],
    dialect: Dialect | None,
    sheet: str,
    path: Path,
    root: Path,
    options: ReadOptions,
    *,
    headless: bool = False,
) -> Layout:
    above = _is_above(root)
    locator = options.locator(root, above=above)
    named = looks_like_header(rows[0], rows[1:], locator) or _names_columns(options, rows[0])
    header = named and not headless
    names = rows[0] if header else []
    body = rows[1:] if header else rows
    count = len(names) if header else _usual(body, dialect)
    fitting = [row for row in body if len(row) == count]
    if not fitting:
        fitting = [(row + [""] * count)[:count] for row in body]
    if not header and count < 2:
        raise AmttsError(
            f"{path}: line 1 has one column; expected | or tab between columns",
            remedy="Write it as audio_file|text, one clip a line",
        )
    columns = decide_columns(
        fitting or [[""] * count],
        names,
        where=str(path),
        locator=locator,
        language=options.language,
        said=options.columns,
    )
    columns = without_origin(columns, fitting, locator)
    audio = columns.roles["audio"]
    patterns = Counter(locator.pattern_of(row[audio]) for row in fitting)
    patterns.pop(None, None)
    pattern = next((p for p, _ in patterns.most_common(1) if p is not None), ("", ""))
    return Layout(
        dialect=dialect,
        header=header,
        columns=columns,
        sheet=sheet,
        scale=_scale(columns, fitting, locator, path),
        lengths=length_scale(columns, fitting, locator),
        first_channel=_first_channel(columns, fitting),
        pattern=pattern,
        above=above,
        first=fitting[0] if fitting else (),
        bilingual=_is_bilingual([row[columns.roles["text"]] for row in fitting], options.language),
    )


def _is_above(root: Path) -> bool:
    """True for a folder without recordings: a table in it names them from the folder above."""
    return first_under(root, SOUND_SUFFIXES) is None and root.absolute().parent != root.absolute()


def _names_columns(options: ReadOptions, first: Sequence[str]) -> bool:
    """True where a person names columns by what stands in the first row."""
    named = [column for column in options.columns.values() if not column.isdigit()]
    return bool(named) and any(column in first for column in named)


def _usual(rows: list[list[str]], dialect: Dialect | None) -> int:
    """How many columns most rows have; the fewest that several have where commas may stand in a text without quotes."""
    counts = Counter(len(row) for row in rows if len(row) > 1)
    if not counts:
        return 1
    if dialect is not None and dialect.separator in QUOTING and len(counts) > 1:
        return min(count for count, often in counts.items() if often >= 0.05 * counts.total())
    return counts.most_common(1)[0][0]


def _is_bilingual(texts: Sequence[str], language: str) -> bool:
    filled = [text for text in texts if text]
    return len(filled) > 1 and sum(bool(own_part(text, language)) for text in filled) >= 0.5 * len(filled)


def _first_channel(columns: Columns, rows: Sequence[Sequence[str]]) -> int:
    column = columns.roles.get("channel")
    numbers = {row[column].strip() for row in rows} if column is not None else set()
    return 1 if numbers and "0" not in numbers and "2" in numbers else 0


def _scale(columns: Columns, rows: Sequence[Sequence[str]], locator: AudioLocator, path: Path) -> Scale:
    """The unit of the columns of times.

    Raises:
        AmttsError: it follows neither from the names nor from the recordings.
    """
    timed = [columns.roles[role] for role in ("start", "end") if role in columns.roles]
    if not timed:
        return Scale()
    named = [unit_in_name(columns.names[column]) for column in timed if column < len(columns.names)]
    unit = next(filter(None, named), "")
    numbers: list[tuple[float, float | None, int | None]] = []
    for count, row in enumerate(rows):
        length, rate = measured(locator, row[columns.roles["audio"]]) if count < MEASURED else (None, None)
        times = (read_time(row[column], Scale()) for column in timed)
        numbers += [(time, length, rate) for time in times if isinstance(time, float)]
    scale = find_scale(unit, numbers)
    if scale is None:
        shown = ", ".join(columns.names[c] if c < len(columns.names) else str(c + 1) for c in timed)
        raise AmttsError(
            f"{path}: whether the columns of times ({shown}) are in seconds, milliseconds or samples cannot be told",
            remedy="Name them by their unit: start_s and end_s, start_ms and end_ms, or start_samples and end_samples",
        )
    return scale


def table_rows(
    table: Path, layout: Layout, locator: AudioLocator
) -> Iterator[tuple[int, list[str] | str, str]]:
    """Number of the line or row, cells or what is wrong with them, and the text, of each row below the header."""
    if layout.dialect is None:
        yield from _sheet_rows(table, layout)
        return
    audio = layout.columns.roles["audio"]

    def begins(line: str) -> bool:
        cells = split_cells(line, layout.dialect or Dialect())
        if isinstance(cells, str) or len(cells) < 2 or audio >= len(cells):
            return False
        return locator.names_a_file(cells[audio])

    records: Iterator[Line] = read_records(table, layout.dialect, begins=begins)
    if layout.header:
        next(records, None)
    for line in records:
        yield line.number, line.problem or split_cells(line.text, layout.dialect), line.text


def _sheet_rows(table: Path, layout: Layout) -> Iterator[tuple[int, list[str] | str, str]]:
    rows = next(rows for name, rows in read_sheets(table) if name == layout.sheet)
    passed = not layout.header
    for number, row in enumerate(rows, 1):
        if not any(row):
            continue
        if not passed:
            passed = True
            continue
        yield number, row, " | ".join(row)


def layout_or_none(source: Path, options: ReadOptions = ReadOptions()) -> Layout | None:
    """The layout of a source's table; None where it has no table that can be understood."""
    try:
        table = metadata_file(source, options)
        return known_layout(table, options)
    except (AmttsError, OSError):
        return None


def known_layout(table: Path, options: ReadOptions = ReadOptions()) -> Layout:
    """As `detect_layout`, remembered: every importer of tables asks for it.

    Raises:
        AmttsError: as said there.
    """
    status = table.stat()
    said = tuple(sorted(options.columns.items()))
    return _layout_of(table, status.st_size, status.st_mtime_ns, said, options.audio_root, options.language)


@lru_cache(maxsize=64)
def _layout_of(
    table: Path,
    size: int,
    changed: int,
    said: tuple[tuple[str, str], ...],
    audio_root: Path | None,
    language: str,
) -> Layout:
    """The size and the time of the last change tell that it is the same file."""
    options = ReadOptions(columns=dict(said), audio_root=audio_root, language=language)
    return detect_layout(table, table.parent, options)


def metadata_file(source: Path, options: ReadOptions = ReadOptions()) -> Path:
    """The table of a source: the file itself, or `metadata.csv` in the folder, or the only one that can be understood.

    Raises:
        AmttsError: there is none, or several that could be meant.
    """
    if not source.exists():
        raise AmttsError(
            f"{source} does not exist", remedy="Give a folder with a metadata.csv, or the csv itself"
        )
    if not source.is_dir():
        return source
    if (source / "metadata.csv").is_file():
        return source / "metadata.csv"
    others = tables_beside(source)
    if len(others) == 1:
        return source / others[0]
    readable = [name for name in others[:_MOST_TABLES] if _is_readable(source / name, options)]
    if len(readable) == 1:
        return source / readable[0]
    if others:
        raise AmttsError(
            f"{source} holds no metadata.csv but {', '.join((readable or others)[:5])}",
            remedy=f"Name the one that is meant: amtts prepare {source / (readable or others)[0]} --out DIR",
        )
    raise AmttsError(
        f"{source} holds no metadata.csv",
        remedy="Give a folder with a metadata.csv, or the csv itself",
    )


def _is_readable(table: Path, options: ReadOptions) -> bool:
    try:
        known_layout(table, options)
    except (AmttsError, OSError):
        return False
    return True


def tables_beside(source: Path) -> list[str]:
    """Names of the files in a folder that may be tables."""
    names = sorted(os.listdir(source))
    return [
        name
        for name in names
        if name.lower().endswith(TABLE_SUFFIXES)
        and not name.startswith((".", "~$"))
        and os.path.splitext(name.lower())[0] not in _NO_TABLES
    ]


def split_tables(source: Path, options: ReadOptions = ReadOptions()) -> list[Path]:
    """`metadata_train.csv` and `metadata_eval.csv` of one folder (Coqui, XTTS), or `train.csv` and `test.csv`.

    Empty where the folder has a `metadata.csv`, holds fewer than two such tables, or one that cannot be understood.
    """
    if not source.is_dir() or (source / "metadata.csv").exists():
        return []
    named: dict[tuple[str, str, str], list[str]] = {}
    for name in tables_beside(source):
        if match := _SPLIT_NAME.fullmatch(name):
            named.setdefault((match["stem"], match["rest"], match["suffix"]), []).append(name)
    groups = [names for names in named.values() if len(names) > 1]
    if len(groups) != 1:
        return []
    tables = [source / name for name in groups[0]]
    return tables if all(layout_or_none(table, options) for table in tables) else []
