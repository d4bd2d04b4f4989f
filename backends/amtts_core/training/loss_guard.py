"""Skips batches whose loss or gradient is not finite, and warns of a loss that never changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amtts_core.checkpoints.folders import checkpoints_of
from amtts_core.errors import AmttsError
from amtts_core.storage.line_ledger import LineLedger

logger = logging.getLogger(__name__)

CONSTANT_STEPS = 50
"""Steps with exactly the same loss before a warning."""


class BadBatchError(Exception):
    """A loss or gradient is not finite; the step has to be skipped.

    Args:
        reason: what was not finite.
        elsewhere: another process saw it, and that one knows more.
    """

    def __init__(self, reason: str, *, elsewhere: bool = False) -> None:
        super().__init__(reason)
        self.elsewhere = elsewhere


class LossGuard:
    """Counts bad batches in a row, and steps in a row with the same loss.

    Args:
        run: folder of the run, in which it writes `bad_batches.jsonl`.
        limit: bad batches in a row that are skipped before the run stops.
        writes: True on the one process that writes.
    """

    def __init__(self, run: Path, *, limit: int, writes: bool = True) -> None:
        self._run, self._limit, self._writes = run, limit, writes
        self._ledger = LineLedger(run / "bad_batches.jsonl")
        self._in_a_row = 0
        self.skipped = 0
        """Bad batches since the run began."""
        self._last: float | None = None
        self._same = 0

    def skip(self, reason: str, *, step: int, epoch: int, ids: Sequence[str]) -> None:
        """Records a bad batch.

        Args:
            reason: what was not finite.
            step: number of the step that the batch would have been.
            epoch: of the batch.
            ids: its utterances.

        Raises:
            AmttsError: it is one too many in a row.
            OSError: the list of bad batches cannot be written.
        """
        path = self._ledger.path
        if self._writes:
            self._ledger.add({"step": step, "epoch": epoch, "reason": reason, "ids": list(ids)})
            self._ledger.flush()
        self._in_a_row += 1
        self.skipped += 1
        if self._in_a_row > self._limit:
            raise AmttsError(
                f"step {step}: {reason}; that is bad batch {self._in_a_row} in a row "
                f"(training.max_bad_batches is {self._limit}); their utterances are in {path}",
                remedy="Check them, or lower training.optim.learning_rate, then "
                + (
                    "continue with --resume"
                    if checkpoints_of(self._run)
                    else "begin again: there is no checkpoint yet"
                ),
            )
        logger.warning("step %d: %s; the batch is skipped, its utterances are in %s", step, reason, path)

    def check_step(self, step: int, loss: float) -> None:
        """Counts a good step; warns once when its loss is exactly 0 or did not change for `CONSTANT_STEPS` steps."""
        self._in_a_row = 0
        self._same = self._same + 1 if loss == self._last else 0
        self._last = loss
        if self._same == CONSTANT_STEPS:
            logger.warning(
                "step %d: the loss has been exactly %g for %d steps. Likely causes: the learning rate is 0, every "
                "parameter is frozen, the loss does not depend on the network, or every batch is the same",
                step,
                loss,
                CONSTANT_STEPS,
            )
        elif loss == 0.0 and self._same == 0:
            logger.warning("step %d: the loss is exactly 0, so the network learns nothing from it", step)

    def clear(self) -> None:
        """Removes the list of bad batches: a new run begins."""
        if self._writes:
            self._ledger.path.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """Both counts, and the bytes of the list of bad batches."""
        return {"in_a_row": self._in_a_row, "skipped": self.skipped, "ledger_bytes": self._ledger.size()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`; cuts the list back to the checkpoint."""
        self._in_a_row, self.skipped = state["in_a_row"], state["skipped"]
        if self._writes:
            self._ledger.truncate(state["ledger_bytes"])
            if not state["ledger_bytes"]:
                self._ledger.path.unlink(missing_ok=True)
