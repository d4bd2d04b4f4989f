"""A folder of speech: which files in it are ours, what each was made from, and that nothing else is touched.

    OUT/0001.wav, OUT/greet_01.wav …    the speech
    OUT/speech.jsonl                    a line a row: its file, what it was made from, notes on it
    OUT/metadata.csv                    audio_file|text of the files that are there

Rows are appended to speech.jsonl as they are done, so that a run that was killed is gone on with. Before the first one
a line `{"begun": [files]}` names what is about to be written: a file found without its row is ours, and spoken again.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from amtts_core.audio.save import try_folder
from amtts_core.errors import AmttsError
from amtts_core.storage.atomic import replace_text, take_folder
from amtts_core.storage.json_lines import json_line

REPORT = "speech.jsonl"
TABLE = "metadata.csv"
BEGUN = "begun"
_SHOWN = 3


def _record(line: str) -> dict[str, Any] | None:
    """A line of the report; None for one that was cut off while it was written, whose row is spoken again."""
    try:
        found = json.loads(line) if line.strip() else None
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    row = all(isinstance(found.get(name), str) for name in ("file", "id", "key"))
    return found if row or isinstance(found.get(BEGUN), list) else None


class SpeechFolder:
    """A folder for speech. Making one only looks; used as a context manager it takes the folder and writes.

    Args:
        folder: absent, empty, or one that amtts spoke into.
        beside: write beside files of others, whose names are never taken.

    Raises:
        AmttsError: it holds files of others, is in use, or cannot be written; nothing is written then.
    """

    def __init__(self, folder: Path, *, beside: bool = False) -> None:
        self.folder = folder
        self._records: dict[str, dict[str, Any]] = {}
        self._begun: set[str] = set()
        """Files that may have been written and have no row yet."""
        self._began = 0.0
        if folder.exists() and not folder.is_dir():
            raise AmttsError(f"{folder} is a file; expected a folder", remedy="Choose another --out")
        self._made = not folder.exists()
        self._read()
        if not self._ours and not beside:
            self._refuse_others()
        self._refuse_tables()
        above = next(f for f in (folder.absolute(), *folder.absolute().parents) if f.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            why = (
                f"{folder} cannot be written"
                if above.is_dir()
                else f"{above} is a file, so {folder} cannot be made"
            )
            raise AmttsError(why, remedy="Choose another --out")
        self._handle: int | None = None
        self._log: Any = None
        self._spoken = 0

    @property
    def _ours(self) -> bool:
        return bool(self._records or self._begun)

    def _read(self) -> None:
        report = self.folder / REPORT
        if not report.is_file():
            return
        try:
            lines = report.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise AmttsError(
                f"{report} cannot be read: {error.strerror}", remedy="Choose another --out"
            ) from None
        for line in lines:
            record = _record(line)
            if record is None:
                continue
            if BEGUN in record:
                self._begun |= set(map(str, record[BEGUN]))
            else:
                self._note(record)
        if not self._ours and any(line.strip() for line in lines):
            raise AmttsError(f"{report} is no report of `amtts synthesize`", remedy="Choose another --out")

    def _note(self, record: dict[str, Any]) -> None:
        self._records[str(record["file"])] = record
        self._begun.discard(str(record["file"]))

    def _refuse_others(self) -> None:
        if not self.folder.is_dir():
            return
        others = sorted(
            path.name
            for path in self.folder.iterdir()
            if not path.name.startswith(".") and path.name != REPORT
        )
        if others:
            shown = ", ".join(others[:_SHOWN]) + (
                f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            )
            raise AmttsError(
                f"{self.folder} holds files that `amtts synthesize` did not write: {shown}",
                remedy="Choose another --out, or add --beside to write beside them; none of them is replaced",
            )

    def _refuse_tables(self) -> None:
        """The table is ours where the report is; it has to be a file that can be written."""
        table = self.folder / TABLE
        if table.exists() and not self._ours:
            raise AmttsError(
                f"{table} was not written by `amtts synthesize` and is not replaced",
                remedy="Choose another --out",
            )
        for path in (table, self.folder / REPORT):
            if path.exists() and (not path.is_file() or not os.access(path, os.W_OK)):
                what = "is a folder" if path.is_dir() else "cannot be written"
                raise AmttsError(f"{path} {what}", remedy="Make it writable, or choose another --out")

    def _take(self) -> int | None:
        try:
            return take_folder(self.folder)
        except BlockingIOError:
            raise AmttsError(
                f"another amtts speaks into {self.folder}", remedy="Wait for it, or choose another --out"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from None

    def _release(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.close(self._handle)
            self._handle = None

    def _unwritable(self, error: OSError) -> AmttsError:
        return AmttsError(
            f"{self.folder} cannot be written: {error.strerror or error}",
            remedy="Free space, or choose another --out",
        )

    def __enter__(self) -> SpeechFolder:
        try_folder(self.folder)
        self._handle = self._take()
        for left in self.folder.rglob(".*.tmp"):  # of a run that was killed
            with contextlib.suppress(OSError):
                left.unlink()
        try:
            self._log = (self.folder / REPORT).open("a", encoding="utf-8")
            if self._log.tell() and not (self.folder / REPORT).read_bytes().endswith(b"\n"):
                self._log.write("\n")  # behind a line that was cut off
        except OSError as error:
            self._release()
            raise self._unwritable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._log.close()
            if kind is not None:
                self._remove_unrecorded()
            self._begun = {file for file in self._begun if (self.folder / file).exists()}
            if self._ours:
                self.write_tables()
            else:
                (self.folder / REPORT).unlink(missing_ok=True)
                if self._made:
                    self.folder.rmdir()
        except OSError as error:
            if kind is None:
                raise self._unwritable(error) from None
        finally:
            self._release()

    def done(self, file: str, key: str) -> dict[str, Any] | None:
        """The report of a file that exists and was made from `key`; None where it has to be synthesized."""
        record = self._records.get(file)
        path = self.folder / file
        if record is None or file in self._begun or record.get("key") != key or record.get("problem"):
            return None
        try:
            return record if path.stat().st_size == record.get("bytes") else None
        except OSError:
            return None

    def check_free(self, file: str) -> None:
        """Refuses to replace a file that is not ours.

        Raises:
            AmttsError: it is somebody else's.
        """
        if (self.folder / file).exists() and file not in self._records and file not in self._begun:
            raise AmttsError(
                f"{self.folder / file} was not written by `amtts synthesize` and is not replaced",
                remedy="Choose another --out",
            )

    def begin(self, files: Sequence[str]) -> None:
        """Notes, at once on disk, files that are about to be written.

        Raises:
            AmttsError: it cannot be written.
        """
        if not files:
            return
        self._began = time.time()
        self._begun |= set(files)
        self._append({BEGUN: list(files)})

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self._log.write(json_line(line))
            self._log.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def _remove_unrecorded(self) -> None:
        """Removes files that were just finished when their lines had not been written yet; they are spoken again."""
        for file in self._begun if self._began else ():
            path = self.folder / file
            if path.is_file() and path.stat().st_mtime >= self._began:
                path.unlink()
                self._records.pop(file, None)

    def add(self, record: dict[str, Any]) -> None:
        """Notes a row that is done, at once on disk.

        Args:
            record: `file` and `id` are needed; the size of the file is added.

        Raises:
            AmttsError: it cannot be written.
        """
        path = self.folder / str(record["file"])
        try:
            record = record | ({"bytes": path.stat().st_size} if not record.get("problem") else {})
        except OSError as error:
            raise self._unwritable(error) from None
        self._append(record)
        self._note(record)
        self._spoken += 1

    def write_tables(self) -> None:
        """Writes both tables anew: a line a file that is there.

        Raises:
            OSError: they cannot be written; the old ones stay.
        """
        records = sorted(self._records.values(), key=lambda record: (record.get("order", 0), record["file"]))
        begun = [{BEGUN: sorted(self._begun)}] if self._begun else []
        replace_text(self.folder / REPORT, "".join(json_line(line) for line in [*records, *begun]))
        lines = ["audio_file|text\n"]
        for record in records:
            if not record.get("problem"):
                lines.append(
                    f"{record['file']}|{' '.join(str(record.get('text', '')).replace('|', ' ').split())}\n"
                )
        replace_text(self.folder / TABLE, "".join(lines))
