"""Which column of a table is which: by the names in its header, or by what is found on disk."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.table import QUOTING, read_lines, separator_of, split_quoted
from amtts_core.errors import AmttsError

AUDIO_NAMES = (
    "audio_file", "audio", "audio_filepath", "audio_path", "path", "file", "file_name", "filename", "wav",
    "wav_path", "wav_file", "wav_filename", "id",
)  # fmt: skip
TEXT_NAMES = ("text", "transcription", "transcript", "sentence", "raw_text", "raw", "raw_transcription")
SPOKEN_NAMES = ("normalized_text", "normalised_text", "normalized_transcription", "normalized", "normalised")
SPEAKER_NAMES = ("speaker_name", "speaker", "speaker_id", "client_id")

_SAMPLE = 200
_MOST_TABLES = 20
_SPLIT_NAME = re.compile(
    r"(?P<stem>.*?)[_-]?(?:train|training|eval|val|valid|validation|dev|test)(?P<suffix>\.(?:csv|tsv|txt))"
)
_HEADER_REMEDY = "Write a header as the first line: audio_file|text or audio_file|text|speaker_name"


@dataclass(frozen=True)
class Layout:
    """How a table is to be read; columns are counted from 0, None where there is none."""

    separator: str
    header: bool
    columns: int
    audio: int
    text: int
    spoken: int | None = None
    speaker: int | None = None
    pattern: tuple[str, str] = ("", "")

    @property
    def absorb(self) -> int | None:
        """The column that may hold the separator."""
        return self.text if self.spoken is None and self.separator not in QUOTING else None

    @property
    def optional(self) -> bool:
        """True where the last column may be missing from a line."""
        return self.spoken == self.columns - 1

    @property
    def is_ljspeech(self) -> bool:
        """True for ids first and no header."""
        return not self.header and self.audio == 0 and self.speaker is None and bool(self.pattern[1])

    def describe(self) -> str:
        """The columns' meanings, in one line."""
        names = {
            self.audio: "audio",
            self.text: "text",
            self.spoken: "normalised text",
            self.speaker: "speaker",
        }
        sign = "<tab>" if self.separator == "\t" else self.separator
        return sign.join(names.get(column, "(ignored)") for column in range(self.columns))


def detect_layout(path: Path, root: Path) -> Layout:
    """The layout of a table, from its first lines.

    Raises:
        AmttsError: empty, no columns, or columns that cannot be told apart.
    """
    sample = list(itertools.islice(read_lines(path), _SAMPLE))
    if not sample:
        raise AmttsError(f"{path} is empty", remedy=_HEADER_REMEDY)
    if all(line.problem for line in sample):
        raise AmttsError(f"{path}: line 1 {sample[0].problem}", remedy="Save it as UTF-8 text")
    separator = separator_of(sample, path)
    rows = [_cells(line.text, separator) for line in sample if not line.problem]
    locator = AudioLocator(root)
    named = _by_header(rows[0], path, locator)
    if named is not None:
        roles, columns, header = named, len(rows[0]), True
        rows = rows[1:]
    elif separator in QUOTING:
        raise AmttsError(
            f"{path}: the columns are separated by {separator!r}, and the first line {'|'.join(rows[0])!r} names no "
            "audio and text column; without a header only | or tab may separate columns",
            remedy=_HEADER_REMEDY,
        )
    else:
        columns = _usual(rows)
        rows = [row for row in rows if len(row) == columns]
        roles, header = _by_content(rows, path, locator), False
    patterns = Counter(locator.pattern_of(row[roles["audio"]]) for row in rows if len(row) > roles["audio"])
    patterns.pop(None, None)
    pattern = next((p for p, _ in patterns.most_common(1) if p is not None), ("", ""))
    return Layout(
        separator,
        header,
        columns,
        roles["audio"],
        roles["text"],
        roles.get("spoken"),
        roles.get("speaker"),
        pattern,
    )


def _cells(text: str, separator: str) -> list[str]:
    if separator in QUOTING:
        return split_quoted(text, separator)
    return [cell.strip() for cell in text.split(separator)]


def _by_header(cells: list[str], path: Path, locator: AudioLocator) -> dict[str, int] | None:
    names = [cell.casefold() for cell in cells]

    def first(known: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in known if name in names), None)

    audio, text, spoken = first(AUDIO_NAMES), first(TEXT_NAMES), first(SPOKEN_NAMES)
    if text is None:
        text, spoken = spoken, None
    if audio is None and text is None:
        return None
    if audio is None or text is None:
        if any(locator.pattern_of(cell) for cell in cells):
            return None  # a clip whose text happens to be a column's name
        lacking, known = ("audio", AUDIO_NAMES) if audio is None else ("text", TEXT_NAMES)
        raise AmttsError(
            f"{path}: the header {'|'.join(cells)!r} names no {lacking} column; known names: {', '.join(known)}",
            remedy=_HEADER_REMEDY,
        )
    found = {"audio": audio, "text": text, "spoken": spoken, "speaker": first(SPEAKER_NAMES)}
    return {role: column for role, column in found.items() if column is not None}


def _by_content(rows: list[list[str]], path: Path, locator: AudioLocator) -> dict[str, int]:
    columns = len(rows[0])
    hits = [sum(locator.pattern_of(row[column]) is not None for row in rows) for column in range(columns)]
    audio = hits.index(max(hits))
    if not hits[audio]:
        raise AmttsError(
            f"{path}: no column of the first {len(rows)} lines names an audio file that exists under {locator.root}",
            remedy=_HEADER_REMEDY,
        )
    wordy = {column: _wordiness(rows, column) for column in range(columns) if column != audio}
    if len(wordy) == 1:
        return {"audio": audio, "text": next(iter(wordy))}
    if len(wordy) > 2:
        raise AmttsError(
            f"{path} has {columns} columns and no header, so their meaning is not known",
            remedy=_HEADER_REMEDY,
        )
    left, right = wordy
    if max(wordy[left], wordy[right]) <= 3 * min(wordy[left], wordy[right]):
        return {"audio": audio, "text": left, "spoken": right}
    text = max(wordy, key=lambda column: wordy[column])
    third = right if text == left else left
    # LJSpeech's third column may be empty throughout; a speaker's name may not
    return {"audio": audio, "text": text} | ({"speaker": third} if wordy[third] else {"spoken": third})


def _wordiness(rows: list[list[str]], column: int) -> float:
    """Mean length in characters of the cells, those of names and numbers being short."""
    return sum(len(row[column]) for row in rows) / len(rows)


def _usual(rows: list[list[str]]) -> int:
    return Counter(len(row) for row in rows).most_common(1)[0][0]


def usual_columns(path: Path, separator: str) -> int:
    """How many columns most of the first lines have.

    Raises:
        AmttsError: the table is empty.
    """
    sample = [line for line in itertools.islice(read_lines(path), _SAMPLE) if not line.problem]
    if not sample:
        raise AmttsError(f"{path} is empty", remedy=_HEADER_REMEDY)
    return _usual([line.text.split(separator) for line in sample])


def layout_or_none(source: Path) -> Layout | None:
    """The layout of a source's table; None where it has no table that can be understood."""
    try:
        table = metadata_file(source)
        status = table.stat()
        return _layout_of(table, status.st_size, status.st_mtime_ns)
    except (AmttsError, OSError):
        return None


@lru_cache(maxsize=64)
def _layout_of(table: Path, size: int, changed: int) -> Layout:
    """Asked for by every importer of tables; the size and the time of the last change tell that it is the same file."""
    return detect_layout(table, table.parent)


def metadata_file(source: Path) -> Path:
    """The table of a source: the file itself, or `metadata.csv` in the folder.

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
    others = _tables_beside(source)
    readable = [name for name in others[:_MOST_TABLES] if layout_or_none(source / name) is not None]
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


def _tables_beside(source: Path) -> list[str]:
    return sorted(name for name in os.listdir(source) if name.lower().endswith((".csv", ".tsv", ".txt")))


def split_tables(source: Path) -> list[Path]:
    """`metadata_train.csv` and `metadata_eval.csv` of one folder (Coqui, XTTS), or `train.csv` and `test.csv`.

    Empty where the folder has a `metadata.csv`, holds fewer than two such tables, or one that cannot be understood.
    """
    if not source.is_dir() or (source / "metadata.csv").exists():
        return []
    named: dict[tuple[str, str], list[str]] = {}
    for name in _tables_beside(source):
        if match := _SPLIT_NAME.fullmatch(name):
            named.setdefault((match["stem"], match["suffix"]), []).append(name)
    groups = [names for names in named.values() if len(names) > 1]
    if len(groups) != 1:
        return []
    tables = [source / name for name in groups[0]]
    return tables if all(layout_or_none(table) for table in tables) else []
