"""The folder of a run: opened without a change, refused where runs would mix, prepared once everything is sound."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amtts_core.checkpoints.checkpoint import Checkpoint, read_checkpoint
from amtts_core.checkpoints.folders import checkpoints_of, damage
from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.config.yaml_files import read_config_file
from amtts_core.contract.backend import Backend
from amtts_core.data.dataset import Excluded
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.storage.atomic import replace_text
from amtts_core.storage.json_lines import json_line
from amtts_core.training.checkpoint_manager import restore_replaced

logger = logging.getLogger(__name__)


def stored_config(run: Path, overrides: dict[str, Any]) -> tuple[RunConfig, type[Backend]]:
    """The settings a run was started with, with overrides on top, for `--resume`."""
    if not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{run} holds no run to resume (no config.yaml)", remedy="Start one without --resume"
        )
    values = read_config_file(run / "config.yaml")
    before, now = values.get("backend"), overrides.get("backend")
    if before and now and before != now:
        raise CheckpointError(
            f"cannot resume {run}: backend was '{before}', is now '{now}'",
            remedy="Leave --backend out, or start a new run in another --out",
        )
    return resolve_config(values, overrides=overrides, source=str(run / "config.yaml"))


def open_run(run: Path, *, resume: bool, from_scratch: bool) -> Checkpoint | None:
    """The checkpoint to continue from, or None for a fresh run; refuses to mix runs. Changes nothing."""
    if run.exists() and not run.is_dir():
        raise AmttsError(f"{run} is a file; expected a folder to write the run into")
    folders = checkpoints_of(run)
    if resume:
        return latest_sound_checkpoint(run)
    if folders and not from_scratch:
        raise AmttsError(
            f"{run} already holds a run (at {folders[-1].name})",
            remedy="Continue it with --resume, or begin again with --from-scratch, or choose another --out",
        )
    return None


def prepare_folder(run: Path, config: str, excluded: Sequence[Excluded], *, from_scratch: bool) -> None:
    """Puts an earlier run aside and writes what this one starts with; everything else is known to be sound."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        if from_scratch and checkpoints_of(run):
            aside = _free_name(run / "checkpoints-before")
            (run / "checkpoints").rename(aside)
            logger.warning("the earlier checkpoints of %s are kept in %s", run, aside)
            for name in ("latest", "best"):
                (run / name).unlink(missing_ok=True)
        replace_text(run / "config.yaml", config)
        _write_exclusions(run, excluded)
    except OSError as error:
        raise AmttsError(
            f"run folder {run} cannot be written: {error.strerror}", remedy="Choose another --out"
        ) from None


def _free_name(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}-{number}")


def latest_sound_checkpoint(run: Path) -> Checkpoint:
    """The newest undamaged checkpoint of a run; a damaged one is skipped and announced.

    Raises:
        CheckpointError: the run has none.
    """
    restore_replaced(run)
    folders = checkpoints_of(run)
    if not folders:
        raise CheckpointError(
            f"{run} holds no checkpoint to resume from", remedy="Start a run without --resume"
        )
    for folder in reversed(folders):
        wrong = damage(folder)
        if not wrong:
            return read_checkpoint(folder)
        logger.warning("checkpoint %s is damaged (%s); going back to the one before", folder, wrong)
    raise CheckpointError(f"every checkpoint of {run} is damaged", remedy="Start again with --from-scratch")


def _write_exclusions(run: Path, rows: Sequence[Excluded]) -> None:
    """Lists utterances that cannot be learned from in `excluded.jsonl`."""
    with (run / "excluded.jsonl").open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json_line({"id": row.id, "reason": row.reason}))
    if rows:
        logger.warning("%d utterances are left out of training, see %s", len(rows), run / "excluded.jsonl")
