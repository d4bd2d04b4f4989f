"""Spreadsheets: the rows of an .xlsx, .xls or .ods file as text, through python-calamine."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from amtts_core.errors import AmttsError

SHEET_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_LARGEST = 1 << 30  # bytes of a spreadsheet, unpacked


def read_sheets(path: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Name and rows of each sheet that is not empty.

    Raises:
        AmttsError: the reader is not installed, or the file is damaged or a bomb.
    """
    if importlib.util.find_spec("python_calamine") is None:
        raise AmttsError(
            f"{path.name} is a spreadsheet, and its reader is not installed",
            remedy="Install it with: pip install 'amtts[import]', or save the sheet as CSV UTF-8",
        )
    import python_calamine

    _refuse_bomb(path)
    try:
        book = python_calamine.CalamineWorkbook.from_path(str(path))
        for name in book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            texts = [[_as_text(cell) for cell in row] for row in rows]
            if any(any(row) for row in texts):
                yield name, texts
    except (python_calamine.CalamineError, OSError, ValueError):
        raise AmttsError(
            f"{path} cannot be read as a spreadsheet: it is damaged", remedy="Save the sheet as CSV UTF-8"
        ) from None


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return  # the reader says what is wrong with it
    if size > _LARGEST:
        raise AmttsError(f"{path} would unpack to {size >> 20} MiB, at most {_LARGEST >> 20} MiB are read")


def _as_text(cell: Any) -> str:
    """A cell as it would stand in a CSV file."""
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, timedelta):
        return str(cell.total_seconds())
    if isinstance(cell, time):
        return str(cell.hour * 3600 + cell.minute * 60 + cell.second + cell.microsecond / 1e6)
    if isinstance(cell, datetime):
        return cell.isoformat()
    return " ".join(str(cell).split())
