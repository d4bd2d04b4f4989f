"""The folder of a run: refused where runs would mix, prepared once all is sound; earlier runs are moved aside."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from amtts_core.checkpoints.checkpoint import Checkpoint, read_checkpoint
from amtts_core.checkpoints.folders import checkpoints_of, damage
from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.config.yaml_files import FIRST_LINE, read_config_file
from amtts_core.contract.backend import Backend
from amtts_core.data.dataset import Excluded
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.storage.atomic import replace_text
from amtts_core.storage.json_lines import json_line
from amtts_core.training.checkpoint_manager import replaced_checkpoints, restore_replaced

logger = logging.getLogger(__name__)
CONFIG, LOG, PREVIOUS = "config.yaml", "metrics.jsonl", "previous"
RUN_FILES = (
    CONFIG,
    LOG,
    "report.html",
    "seen_utterances.jsonl",
    "training_data.jsonl",
    "excluded.jsonl",
    "bad_batches.jsonl",
    "forgetting.json",
    "feedback_report.json",
    "feedback",
    "samples",
    "pictures",
    "figures",
    "tensorboard",
    "wandb",
    "wandb-id",
    "control",
    "latest",
    "best",
    "checkpoints",
)
"""Everything that a run may leave in its folder; checkpoints are moved last: they show a move that was cut short."""
UNWRITABLE = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "ENODEV", "ENXIO"),
        *("ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "EREMOTEIO"),
    )
    if hasattr(errno, name)
)
"""Error numbers that say something about a disk or a mount, whichever file was written."""


def stored_config(run: Path, overrides: dict[str, Any]) -> tuple[RunConfig, type[Backend]]:
    """The settings a run was started with, with overrides on top, for `--resume`."""
    if not (run / CONFIG).is_file():
        raise CheckpointError(
            f"{run} holds no run to resume (no {CONFIG})", remedy="Start one without --resume"
        )
    values = read_config_file(run / CONFIG)
    before, now = values.get("backend"), overrides.get("backend")
    if before and now and before != now:
        raise CheckpointError(
            f"cannot resume {run}: backend was '{before}', is now '{now}'",
            remedy="Leave --backend out, or start a new run in another --out",
        )
    return resolve_config(values, overrides=overrides, source=str(run / CONFIG))


def check_folder(run: Path, *, resume: bool, from_scratch: bool) -> None:
    """Refuses to mix runs, and to resume where there is none. Changes nothing.

    Raises:
        AmttsError: `run` is a file, or holds a run already.
        CheckpointError: there is nothing to resume.
    """
    if run.exists() and not run.is_dir():
        raise AmttsError(f"{run} is a file; expected a folder to write the run into")
    folders = checkpoints_of(run)
    if resume and not folders and not replaced_checkpoints(run):
        raise CheckpointError(
            f"{run} holds no checkpoint to resume from", remedy="Start a run without --resume"
        )
    if folders and not resume and not from_scratch:
        raise AmttsError(
            f"{run} already holds a run (at {folders[-1].name})",
            remedy="Continue it with --resume, or begin again with --from-scratch, or choose another --out",
        )


def latest_sound_checkpoint(run: Path) -> Checkpoint:
    """The newest undamaged checkpoint of a run; a damaged one is skipped, with a warning.

    Raises:
        CheckpointError: the run has none.
    """
    restore_replaced(run)
    for folder in reversed(checkpoints_of(run)):
        wrong = damage(folder)
        if not wrong:
            return read_checkpoint(folder)
        logger.warning("checkpoint %s is damaged (%s); going back to the one before", folder, wrong)
    raise CheckpointError(f"every checkpoint of {run} is damaged", remedy="Start again with --from-scratch")


def prepare_folder(run: Path, files: Mapping[str, str], excluded: Sequence[Excluded]) -> None:
    """Writes what a run begins or continues with; everything else is known to be sound.

    Args:
        run: folder of the run.
        files: name -> text.
        excluded: unusable utterances, for `excluded.jsonl`.

    Raises:
        OSError: it cannot be written.
    """
    run.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        replace_text(run / name, content, errors="backslashreplace")
    text = "".join(json_line({"id": row.id, "reason": row.reason}) for row in excluded)
    replace_text(run / "excluded.jsonl", text, errors="backslashreplace")
    if excluded:
        logger.warning(
            "%d utterances are left out of training, see %s", len(excluded), run / "excluded.jsonl"
        )


def move_earlier_run(run: Path, *, keep: Collection[str] = ()) -> None:
    """Moves everything of an earlier run in this folder to `previous/N`, so that it does not mix with a new one.

    A run that died before its first checkpoint counts too. Files that no run writes stay where they are; in a folder
    that never held a run only a `config.yaml` is moved.

    Args:
        run: folder of the new run.
        keep: names that the new run has written already.

    Raises:
        OSError: they cannot be moved.
    """
    names = RUN_FILES if _holds_run(run) else (CONFIG,)
    found = [name for name in names if (run / name).exists() and name not in keep]
    if not found:
        return
    taken = [int(path.name) for path in (run / PREVIOUS).glob("*") if path.name.isdecimal()]
    aside = run / PREVIOUS / str(max(taken, default=0) + 1)
    aside.mkdir(parents=True)
    for name in found:
        (run / name).rename(aside / name)
    logger.warning("the earlier run in %s is kept in %s: %s", run, aside, ", ".join(found))


def _holds_run(run: Path) -> bool:
    if (run / LOG).is_file() or checkpoints_of(run):
        return True
    try:
        with (run / CONFIG).open(encoding="utf-8") as lines:
            return lines.readline().startswith(FIRST_LINE)
    except (OSError, ValueError):
        return False


def write_failure(error: OSError, run: Path) -> AmttsError | None:
    """The error for the user where a run folder cannot be written; None where it is not the folder's fault.

    Args:
        error: that ended the training.
        run: folder of the run.
    """
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes | Path)]
    inside = any(Path(os.fsdecode(name)).absolute().is_relative_to(run.absolute()) for name in names)
    if not inside and error.errno not in UNWRITABLE:
        return None
    if not run.is_dir():
        return AmttsError(
            f"run folder {run} is gone: it was deleted or moved during the training",
            remedy="If it was moved, continue there with --resume and its new --out",
        )
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return AmttsError(
        f"run folder {run} cannot be written: {error.strerror or error}",
        remedy=("Free space" if full else "Make it writable again")
        + (", then continue with --resume" if checkpoints_of(run) else ", then begin again"),
    )
