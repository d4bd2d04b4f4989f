"""Which utterances were learnt from, step by step: the proof that none was lost and none repeated.

One JSON line a step in `samples.jsonl`, with the utterances of all processes in the order of the batches. Lines are
written by the main process when a checkpoint is, and cut back to the checkpoint on resume, so the file always equals
that of an undisturbed run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from amtts_core.storage.json_lines import json_line, read_json_lines


class SampleLedger:
    """Appends to the ledger of a run.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / "samples.jsonl"
        self._waiting: list[str] = []

    def add(self, step: int, epoch: int, ids: Sequence[str], *, skipped: bool = False) -> None:
        """Remembers the utterances of a step (or of a skipped one)."""
        row: dict[str, object] = {"step": step, "epoch": epoch, "ids": list(ids)}
        if skipped:
            row["skipped"] = True
        self._waiting.append(json_line(row))

    def flush(self) -> None:
        """Writes what is waiting and flushes it to disk."""
        if self._waiting:
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write("".join(self._waiting))
                handle.flush()
                os.fsync(handle.fileno())
            self._waiting = []

    def size(self) -> int:
        """Bytes of the file after the last flush."""
        return self._path.stat().st_size if self._path.exists() else 0

    def cut(self, size: int) -> None:
        """Cuts the file back to `size` bytes: what came after belongs to steps that will be made again."""
        self._waiting = []
        if self._path.exists() and self._path.stat().st_size > size:
            os.truncate(self._path, size)


def read_ledger(path: Path) -> list[dict[str, object]]:
    """The rows of a ledger file."""
    return list(read_json_lines(path))
