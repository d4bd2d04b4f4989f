"""Which checkpoints of a run stay on disk, and what `latest` and `best` point at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.checkpoints.checkpoint import CheckpointInfo, write_checkpoint
from amtts_core.checkpoints.folders import checkpoints_of, damage, write_pointer
from amtts_core.contract.tokenizer import TextTokenizer


def replaced_checkpoints(run: Path) -> list[Path]:
    """Checkpoints that were set aside for another of the same step."""
    return sorted((run / "checkpoints").glob(".step-*.old"))


def restore_replaced(run: Path) -> None:
    """Restores a checkpoint that was being replaced by another of the same step when the process was killed."""
    for replaced in replaced_checkpoints(run):
        folder = replaced.with_name(replaced.name.removeprefix(".").removesuffix(".old"))
        if not folder.exists():
            replaced.rename(folder)


class CheckpointManager:
    """Writes the checkpoints of one run and removes old ones, never the best nor the last sound one.

    Args:
        run: folder of the run.
        keep: how many of the newest stay.
    """

    def __init__(self, run: Path, *, keep: int) -> None:
        self._run = run
        self._keep = keep

    def clean(self) -> None:
        """Removes what a save that was killed left behind."""
        restore_replaced(self._run)
        for remains in (self._run / "checkpoints").glob(".step-*"):
            shutil.rmtree(remains)

    def repair(self, step: int, best_step: int | None) -> None:
        """Points `latest` and `best` at the steps of the resumed state: a kill may come before a pointer is moved."""
        for name, number in (("latest", step), ("best", best_step)):
            folder = self._run / "checkpoints" / f"step-{number or 0:08d}"
            if number is not None and folder.is_dir():
                write_pointer(self._run, name, folder)

    def save(
        self,
        info: CheckpointInfo,
        weights: Mapping[str, Tensor],
        *,
        tokenizer: TextTokenizer | None,
        state: Any,
        best_step: int | None,
        is_best: bool,
        files: Callable[[Path], None] | None = None,
    ) -> Path:
        """Writes the checkpoint of `info.step` and moves the pointers; returns its folder.

        Raises:
            FileNotFoundError: the run folder is gone; it is not made again.
            CheckpointError: the checkpoint cannot be written.
        """
        folder = self._run / "checkpoints" / f"step-{info.step:08d}"
        folder.parent.mkdir(exist_ok=True)
        write_checkpoint(folder, info, weights, tokenizer=tokenizer, training_state=state, files=files)
        write_pointer(self._run, "latest", folder)
        if is_best:
            write_pointer(self._run, "best", folder)
        self._rotate(folder, best=f"step-{best_step:08d}" if best_step is not None else "")
        return folder

    def _rotate(self, written: Path, *, best: str) -> None:
        # Later ones were damaged when this run was resumed: counting them would remove the one just written.
        folders = [folder for folder in checkpoints_of(self._run) if folder.name <= written.name]
        kept = folders[-self._keep :]
        old = [folder for folder in folders[: -self._keep] if folder.name != best]
        if all(
            damage(folder) for folder in reversed(kept)
        ):  # reads the newest back; stops at the first sound one
            return
        for folder in old:
            shutil.rmtree(folder)
