"""`seen_utterances.jsonl`: the utterances of every step, the proof that none was lost and none repeated.

One JSON line a step with the utterances of all processes in the order of the batches. The main process writes the
lines of the steps since the last checkpoint when it writes the next one. A resumed run cuts the file back to its
checkpoint, so the file always equals that of an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amtts_core.storage.line_ledger import LineLedger

NAME = "seen_utterances.jsonl"


class UtteranceLedger:
    """Appends to the ledger of a run.

    Args:
        run: folder of the run.
        writes: True on the one process that writes.
    """

    def __init__(self, run: Path, *, writes: bool = True) -> None:
        self._lines, self._writes = LineLedger(run / NAME), writes

    def add(self, step: int, epoch: int, ids: Sequence[str], *, skipped: bool = False) -> None:
        """Queues the utterances of a step (or of a skipped one)."""
        row: dict[str, object] = {"step": step, "epoch": epoch, "ids": list(ids)}
        if skipped:
            row["skipped"] = True
        self._lines.add(row)

    def flush(self) -> None:
        """Writes the queued lines to disk.

        Raises:
            OSError: the file cannot be written.
        """
        if self._writes:
            self._lines.flush()

    def clear(self) -> None:
        """Empties the file: a new run begins."""
        if self._writes:
            self._lines.truncate(0)

    def state_dict(self) -> dict[str, Any]:
        """Bytes of the file after the last flush."""
        return {"bytes": self._lines.size()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cuts the file back to the checkpoint."""
        if self._writes:
            self._lines.truncate(state["bytes"])
