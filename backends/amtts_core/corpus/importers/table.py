"""Lines of a table. With `|` or tab between its columns a quote is a letter like any other; a spreadsheet's commas and
semicolons come with quotes that quote, and only under a header.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amtts_core.errors import AmttsError

LONGEST_LINE = 1 << 20
"""Characters; a longer line is reported and skipped, so a file without line ends does not fill the memory."""
QUOTING = (",", ";")
"""Separators of spreadsheets, where cells that hold one stand in quotes."""
_DAMAGE = re.compile("[\udc80-\udcff\ufffd]")


@dataclass(frozen=True)
class Line:
    """One line that is not blank; `problem` says why its text cannot be used, empty where it can."""

    number: int
    text: str
    problem: str = ""


def _encoding(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            head = handle.read(4096)
    except IsADirectoryError:
        raise AmttsError(f"{path} is a folder; expected a text file") from None
    except OSError as error:
        raise AmttsError(f"cannot read {path}: {error.strerror}") from None
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if (even + odd) * 20 > len(head):  # UTF-16 without a mark: ASCII carries its zero byte on one side
        return "utf-16-le" if odd >= even else "utf-16-be"
    return "utf-8-sig"


def read_lines(path: Path) -> Iterator[Line]:
    """Streams the lines of a UTF-8 or UTF-16 text that are not blank; only a newline ends a line.

    Raises:
        AmttsError: the file cannot be opened.
    """
    encoding = _encoding(path)
    with path.open(
        encoding=encoding, errors="surrogateescape" if "8" in encoding else "replace", newline="\n"
    ) as handle:
        number = 0
        while text := handle.readline(LONGEST_LINE):
            number += 1
            if len(text) == LONGEST_LINE and not text.endswith("\n"):
                while (rest := handle.readline(LONGEST_LINE)) and not rest.endswith("\n"):
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


def separator_of(lines: list[Line], path: Path) -> str:
    """The character between the columns.

    Raises:
        AmttsError: neither `|` nor a tab, comma or semicolon stands in the first line.
    """
    first = next((line.text for line in lines if not line.problem), "")
    for separator in ("|", "\t"):
        if separator in first:
            return separator
    found = max(QUOTING, key=first.count)
    if found in first:
        return found
    remedy = "Write it as audio_file|text, one clip a line"
    raise AmttsError(f"{path}: line 1 has one column; expected | or tab between columns", remedy=remedy)


def split_quoted(text: str, separator: str) -> list[str]:
    """The cells of a spreadsheet's line; a quote that quotes nothing is a letter."""
    try:
        row = next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error:
        row = text.split(separator)
    return [cell.strip() for cell in row]


def split_columns(
    text: str, separator: str, *, columns: int, absorb: int | None, optional: bool = False
) -> list[str] | str:
    """The cells of a line, or what is wrong with it.

    Args:
        text: the line.
        separator: between the columns.
        columns: how many there should be.
        absorb: the column that takes separators inside its text; None where two columns could.
        optional: the last column may be missing.
    """
    cells = split_quoted(text, separator) if separator in QUOTING else text.split(separator)
    while len(cells) > columns and not cells[-1].strip():
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
        cells[absorb : absorb + extra + 1] = [separator.join(cells[absorb : absorb + extra + 1])]
    return [cell.strip() for cell in cells]
