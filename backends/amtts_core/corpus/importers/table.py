"""Lines and records of a table in a text file, by the rules of csv where it was written by them.

With `|` or tab between its columns a quote is a letter like any other, unless the file shows that quotes quote; commas
and semicolons come with quotes that quote. Only a quoted cell goes on over the end of a line.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amtts_core.errors import AmttsError

LONGEST_LINE = 1 << 20
"""Characters; a longer line is reported and skipped, so a file without line ends does not fill the memory."""
QUOTING = (",", ";")
"""Separators of spreadsheets, where cells that hold one stand in quotes."""
SAMPLE = 200
"""Lines from which the form of a table is found."""
_MOST_CELL_LINES = 50
_TRIED = 50  # lines
_FESTIVAL = re.compile(r'^\s*\(\s*(?P<name>\S+)\s+"(?P<text>.*)"\s*\)\s*$')
_DAMAGE = re.compile("[\udc80-\udcff\ufffd]")
_SIGN = re.compile(r"(?P<sign>[-–—=:~→>*#/]{1,3})\s")
_SEP_LINE = re.compile(r'^"?sep=(?P<separator>[^"]{1,2})"?$', re.IGNORECASE)
_AFTER_FILE = re.compile(
    r"\.(?:wav|mp3|flac|ogg|opus|m4a|mp4|webm|aac|aiff?)(?P<separator>[^\w\s.]+|\s+)", re.IGNORECASE
)


@dataclass(frozen=True)
class Line:
    """One line, or one record of several lines, that is not blank.

    Attributes:
        number: of its first line in the file.
        text: without its end.
        problem: why the text cannot be used; empty where it can.
    """

    number: int
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        separator: between the columns.
        quotes: cells that hold the separator, a quote or a line end stand in quotes.
        skip: lines before the table.
        festival: lines of the form `( id "text" )`.
    """

    separator: str = "|"
    quotes: bool = False
    skip: int = 0
    festival: bool = False

    @property
    def sign(self) -> str:
        """The separator, for people."""
        return {"\t": "<tab>", " ": "<space>"}.get(self.separator, self.separator)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            return handle.read(1 << 16)
    except IsADirectoryError:
        raise AmttsError(f"{path} is a folder; expected a text file") from None
    except OSError as error:
        raise AmttsError(f"cannot read {path}: {error.strerror}") from None


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = head[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if (even + odd) * 20 > len(head):  # UTF-16 without a mark: ASCII carries its zero byte on one side
        return "utf-16-le" if odd >= even else "utf-16-be"
    return "utf-8-sig"


def _line_end(head: bytes, encoding: str) -> str:
    """A carriage return where no line feed stands in the file's beginning, as old spreadsheets write it."""
    text = head.decode(encoding, "ignore")
    return "\r" if "\r" in text and "\n" not in text else "\n"


def read_lines(path: Path) -> Iterator[Line]:
    """Streams the lines of a UTF-8 or UTF-16 text that are not blank.

    Only a newline ends a line; a carriage return where the file has no newline.

    Raises:
        AmttsError: the file cannot be opened.
    """
    head = _head(path)
    encoding = _encoding(head)
    with path.open(
        encoding=encoding,
        errors="surrogateescape" if "8" in encoding else "replace",
        newline=_line_end(head, encoding),
    ) as handle:
        number = 0
        while text := handle.readline(LONGEST_LINE):
            number += 1
            if len(text) == LONGEST_LINE and not text.endswith(("\n", "\r")):
                while (rest := handle.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                    pass
                yield Line(number, text[:80], f"is longer than {LONGEST_LINE} characters")
                continue
            text = text.rstrip("\r\n")
            if not text.strip():
                continue
            if _DAMAGE.search(text):
                shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                yield Line(number, shown, f"is not {encoding.removesuffix('-sig').upper()} text")
            else:
                yield Line(number, text)


def count_lines(path: Path) -> int:
    """Number of lines that `read_lines` yields."""
    return sum(1 for _ in read_lines(path))


def read_records(
    path: Path, dialect: Dialect, *, begins: Callable[[str], bool] = lambda line: False
) -> Iterator[Line]:
    """Streams the records of a table; a quoted cell may hold line ends.

    A quote that is never closed costs its own line and no other.

    Args:
        path: of the table.
        dialect: how it is written.
        begins: says of a line that it surely begins a record, so that it is not taken into the one before.
    """
    lines = itertools.islice(read_lines(path), dialect.skip, None)
    if not dialect.quotes or len(dialect.separator) != 1:
        yield from lines
        return
    waiting: list[Line] = []  # lines that were read ahead and stand for themselves after all
    while True:
        first = waiting.pop(0) if waiting else next(lines, None)
        if first is None:
            return
        if first.problem or _quote_state(first.text, dialect.separator) != "open":
            yield first
            continue
        joined, ahead = first.text, []
        for following in itertools.chain(waiting, itertools.islice(lines, _MOST_CELL_LINES)):
            ahead.append(following)
            if following.problem or begins(following.text) or len(ahead) > _MOST_CELL_LINES:
                joined = ""
                break
            joined = f"{joined}\n{following.text}"
            state = _quote_state(joined, dialect.separator)
            if state != "open":
                joined = joined if state == "closed" else ""
                break
        else:
            joined = ""
        if joined:
            waiting = waiting[len(ahead) :]
            yield Line(first.number, joined)
        else:
            waiting = [*ahead, *waiting[len(ahead) :]]
            yield Line(first.number, first.text, "has a quote that is never closed")


def _quote_state(text: str, separator: str) -> str:
    """ "open" where the text ends inside of a quoted cell, "odd" where a quote is followed by letters, or "closed"."""
    at, size, odd = 0, len(text), False
    while at <= size:
        if at < size and text[at] == '"':
            at += 1
            while True:
                at = text.find('"', at)
                if at < 0:
                    return "open"
                if text[at + 1 : at + 2] != '"':
                    break
                at += 2
            at += 1
            if at < size and text[at] != separator and text[at:].split(separator, 1)[0].strip():
                odd = True
        after = text.find(separator, at)
        if after < 0:
            break
        at = after + 1
    return "odd" if odd else "closed"


def detect_dialect(lines: list[Line], path: Path) -> Dialect:
    """How a table is written, from its first lines.

    Raises:
        AmttsError: no separator is found.
    """
    texts = [line.text for line in lines if not line.problem]
    skip = 0
    if texts and (named := _SEP_LINE.match(texts[0].strip())):
        separator, skip = named["separator"].replace("\\t", "\t"), 1
        texts = texts[1:]
    else:
        separator = _separator_of(texts, path)
    quotes = separator in QUOTING or (len(separator) == 1 and _quotes_quote(texts, separator))
    return Dialect(separator, quotes, skip)


def spaced_dialect(lines: list[Line], names_a_file: Callable[[str], bool]) -> Dialect | None:
    """The dialect of lines that begin with the name of a recording and a space, or are Festival's; None for others."""
    texts = [line.text for line in lines if not line.problem][:_TRIED]
    if not texts:
        return None
    if sum(bool(_FESTIVAL.match(text)) for text in texts) > 0.8 * len(texts):
        return Dialect(" ", festival=True)
    if any(sign in text for text in texts for sign in ("|", "\t", *QUOTING)):
        return None
    words = [text.split(None, 1) for text in texts]
    named = [pair[1] for pair in words if len(pair) == 2 and names_a_file(pair[0])]
    if len(named) <= 0.8 * len(texts):
        return None
    signs = {match["sign"] if (match := _SIGN.match(rest)) else "" for rest in named}
    return Dialect(f" {signs.pop()} " if len(signs) == 1 and len(named) > 1 and "" not in signs else " ")


def _separator_of(texts: list[str], path: Path) -> str:
    shares = {
        sign: sum(sign in text for text in texts) / max(1, len(texts)) for sign in ("|", "\t", *QUOTING)
    }
    first = texts[0] if texts else ""
    for sign in ("|", "\t"):
        if shares[sign] > 0.8 or (sign in first and shares[sign] >= max(shares.values()) - 0.2):
            return sign
    found = max(QUOTING, key=lambda sign: (shares[sign] > 0.5, first.count(sign)))
    named = _separator_after_files(texts)
    if found in first and (not named or found in named):
        return found
    if named:
        return named
    for sign in ("|", "\t", *QUOTING):
        if sign in first:
            return sign
    remedy = "Write it as audio_file|text, one clip a line"
    raise AmttsError(f"{path}: line 1 has one column; expected | or tab between columns", remedy=remedy)


def _separator_after_files(texts: list[str]) -> str:
    """What stands after the names of recordings in most lines; empty where no such thing does."""
    found = [match["separator"] for text in texts if (match := _AFTER_FILE.search(text))]
    signs = [separator.strip() or separator[:1] for separator in found]
    common = max(set(signs), key=signs.count, default="")
    return common if signs.count(common) > 0.5 * len(texts) else ""


def _quotes_quote(texts: list[str], separator: str) -> bool:
    """True where quotes surely quote: every cell that begins with one ends with one, and one could not do without."""
    records = _joined(texts, separator)
    if records is None:
        return False
    cells = [cell for record in records for cell in _raw_cells(record, separator)]
    quoted = [cell[1:-1] for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == '"']
    surely = any(separator in cell or '""' in cell or "\n" in cell for cell in quoted)
    return bool(quoted) and (surely or len(quoted) >= 0.9 * len(cells))


def _joined(texts: list[str], separator: str) -> list[str] | None:
    """The records, given that quotes quote; None where that makes no sense."""
    records, rest, several = [], list(texts), []
    while rest:
        record = rest.pop(0)
        state = _quote_state(record, separator)
        lines = 1
        while state == "open" and rest and lines < _MOST_CELL_LINES:
            record, lines = f"{record}\n{rest.pop(0)}", lines + 1
            state = _quote_state(record, separator)
        if state == "open" and not rest and len(texts) == SAMPLE:
            break  # it goes on after the sample
        if state != "closed":
            return None
        records.append(record)
        if lines > 1:
            several.append(record)
    usual = Counter(len(_raw_cells(record, separator)) for record in records).most_common(1)
    return None if any(len(_raw_cells(record, separator)) != usual[0][0] for record in several) else records


def _raw_cells(text: str, separator: str) -> list[str]:
    """The cells of a record with their quotes."""
    cells: list[str] = []
    begin = 0
    while True:
        at = begin
        if text[at : at + 1] == '"':
            at += 1
            while (at := text.find('"', at)) >= 0 and text[at + 1 : at + 2] == '"':
                at += 2
        end = text.find(separator, at) if at >= 0 else -1
        if end < 0:
            return [*cells, text[begin:].strip()]
        cells.append(text[begin:end].strip())
        begin = end + 1


def split_cells(text: str, dialect: Dialect) -> list[str] | str:
    """The cells of a record without the spaces around them, or what is wrong with it.

    A quote that quotes nothing is a letter.
    """
    if dialect.festival:
        match = _FESTIVAL.match(text)
        return (
            [match["name"], match["text"].replace('\\"', '"').strip()]
            if match
            else 'is not of the form ( id "text" )'
        )
    if dialect.separator == " ":
        return [cell.strip() for cell in text.split(None, 1)]
    if dialect.quotes:
        try:
            row = next(csv.reader([text], delimiter=dialect.separator, strict=True), [])
            return [" ".join(cell.split()) if "\n" in cell or "\r" in cell else cell.strip() for cell in row]
        except csv.Error:
            pass
    if "\r" in text:
        return "has a carriage return in its middle"
    return [cell.strip() for cell in text.split(dialect.separator)]


def fit_cells(
    cells: list[str], *, columns: int, separator: str, absorb: int | None, optional: bool = False
) -> list[str] | str:
    """A record's cells in so many columns, or what is wrong with it.

    Args:
        cells: of the record.
        columns: how many there should be.
        separator: between them.
        absorb: the column that takes separators inside its text; None where two columns could.
        optional: the last column may be missing.
    """
    cells = list(cells)
    while len(cells) > columns and not cells[-1]:
        cells.pop()
    if optional and len(cells) == columns - 1:
        cells.append("")
    extra = len(cells) - columns
    if extra < 0:
        return f"has {len(cells)} columns, expected {columns}"
    if extra:
        if absorb is None:
            return (
                f"has {len(cells)} columns, expected {columns}; which text holds the {separator} is not known"
            )
        between = f"{separator} " if separator == "," else separator
        cells[absorb : absorb + extra + 1] = [between.join(cells[absorb : absorb + extra + 1])]
    return cells
