"""Losses that cannot lie: what is not finite never reaches the weights, what never moves is said aloud."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from amtts_core.checkpoints.checkpoint import checkpoints_of
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import json_line

logger = logging.getLogger(__name__)

STILL = 50
"""Steps with the very same loss before a warning."""


class BadBatchError(Exception):
    """A batch whose loss or gradient is not finite; the step has to be skipped.

    Args:
        reason: what was not finite.
        elsewhere: it was another process that saw it, which knows more.
    """

    def __init__(self, reason: str, *, elsewhere: bool = False) -> None:
        super().__init__(reason)
        self.elsewhere = elsewhere


class LossGuard:
    """Counts bad batches in a row and watches for a loss that stands still.

    Args:
        run: `bad_batches.jsonl` is written there.
        limit: bad batches in a row that are skipped before the run stops.
        writes: one process of a run does.
    """

    def __init__(self, run: Path, *, limit: int, writes: bool = True) -> None:
        self._ledger = run / "bad_batches.jsonl"
        self._writes = writes
        self._limit = limit
        self.in_a_row = 0
        self.skipped = 0
        self._last: float | None = None
        self._same = 0

    def skip(self, reason: str, *, step: int, epoch: int, ids: Sequence[str]) -> None:
        """Records a bad batch.

        Args:
            reason: what was not finite.
            step: the step that would have been made.
            epoch: where the batch belongs.
            ids: its utterances.

        Raises:
            AmttsError: it is one too many in a row.
        """
        row = {"step": step, "epoch": epoch, "reason": reason, "ids": list(ids)}
        if self._writes:
            with self._ledger.open("a", encoding="utf-8") as handle:
                handle.write(json_line(row))
                handle.flush()
                os.fsync(handle.fileno())
        self.in_a_row += 1
        self.skipped += 1
        if self.in_a_row > self._limit:
            begun = bool(checkpoints_of(self._ledger.parent))
            raise AmttsError(
                f"step {step}: {reason}; that is bad batch {self.in_a_row} in a row "
                f"(training.max_bad_batches is {self._limit}); their utterances are in {self._ledger}",
                remedy="Check them, or lower training.optim.learning_rate, then "
                + ("continue with --resume" if begun else "begin again: there is no checkpoint yet"),
            )
        logger.warning(
            "step %d: %s; the batch is skipped, its utterances are in %s", step, reason, self._ledger
        )

    def size(self) -> int:
        """Bytes of `bad_batches.jsonl`."""
        return self._ledger.stat().st_size if self._ledger.exists() else 0

    def cut(self, size: int) -> None:
        """Cuts it back to `size` bytes: later rows belong to steps that will be tried again."""
        if self.size() > size:
            os.truncate(self._ledger, size)
        if not size:
            self._ledger.unlink(missing_ok=True)

    def good(self, step: int, loss: float) -> None:
        """A step was made; warns once when its loss is exactly 0 or has not moved for `STILL` steps."""
        self.in_a_row = 0
        self._same = self._same + 1 if loss == self._last else 0
        self._last = loss
        if self._same == STILL:
            logger.warning(
                "step %d: the loss has been exactly %g for %d steps. Likely causes: the learning rate is 0, every "
                "parameter is frozen, the loss does not depend on the network, or every batch is the same and learnt",
                step,
                loss,
                STILL,
            )
        elif loss == 0.0 and self._same == 0:
            logger.warning("step %d: the loss is exactly 0: nothing is learnt from it", step)
