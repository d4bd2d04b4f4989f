"""An append-only file of JSON lines that can be cut back to what it was at a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from amtts_core.storage.json_lines import json_line


class LineLedger:
    """Appends rows to a file; they are on disk after `flush`.

    Args:
        path: the file; made at the first flush.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[str] = []

    def add(self, row: dict[str, object]) -> None:
        """Queues a row."""
        self._waiting.append(json_line(row))

    def flush(self) -> None:
        """Writes the queued rows and flushes them to disk.

        Raises:
            OSError: the file cannot be written.
        """
        if not self._waiting:
            return
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write("".join(self._waiting))
            handle.flush()
            os.fsync(handle.fileno())
        self._waiting = []

    def size(self) -> int:
        """Bytes of the file after the last flush; 0 where there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, size: int) -> None:
        """Cuts the file to `size` bytes and drops queued rows: they belong to steps that will be repeated."""
        self._waiting = []
        if self.size() > size:
            os.truncate(self.path, size)
