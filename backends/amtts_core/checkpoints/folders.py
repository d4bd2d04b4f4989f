"""The checkpoint folders of a run: which there are, which a path or pointer means, whether one is sound.

A run folder holds `checkpoints/step-NNNNNNNN/` and the small pointer files `latest` and `best`.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from amtts_core.checkpoints.shipped import SHIPPED, shipped_checkpoint
from amtts_core.errors import CheckpointError
from amtts_core.storage.checksums import broken_seal, flush

logger = logging.getLogger(__name__)


TRAINING_FILES = ("training.json", "training.safetensors")
"""What only a resumed training needs; a voice that is handed on may go without."""


def damage(folder: Path, *, resumable: bool = True) -> str:
    """What is wrong with a checkpoint folder, or an empty string.

    That is a missing, truncated, altered or unlisted file (hidden ones and documents do not count), or the name of
    another step.

    Args:
        folder: of the checkpoint.
        resumable: its training state has to be there.
    """
    optional = () if resumable else TRAINING_FILES
    return broken_seal(folder, needed="checkpoint.json", optional=optional) or _other_step(folder)


def _other_step(folder: Path) -> str:
    """What is wrong where the folder has another step's name; an unreadable description is reported elsewhere."""
    try:
        step = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    if re.fullmatch(r"step-\d+", folder.name) and int(folder.name.removeprefix("step-")) != step:
        return f"it holds step {step}, not the one of its name"
    return ""


def checkpoints_of(run: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first."""
    return sorted(p for p in (run / "checkpoints").glob("step-*") if p.is_dir())


def _pointed(run: Path, name: str) -> Path | None:
    """The checkpoint that the pointer file `name` names; None where there is no such file or it is of no use."""
    if not (run / name).exists():
        return None
    try:
        target = (run / name).read_text(encoding="utf-8").strip()
        folder = run / "checkpoints" / target
        if re.fullmatch(r"step-\d+", target) and folder.is_dir():
            return folder
    except (OSError, ValueError):
        target = ""
    logger.warning("%s names no checkpoint (%r); taking another one", run / name, target[:40])
    return None


def find_checkpoint(path: Path, *, prefer: str = "best") -> Path:
    """The checkpoint folder that `path` means: itself, the best (or latest) of a run folder, or one that is shipped.

    Raises:
        CheckpointError: there is none; says what the path is.
    """
    if (shipped := shipped_checkpoint(path)) is not None:
        return shipped
    if not path.exists():
        raise CheckpointError(
            f"checkpoint {path} does not exist",
            remedy=f"Train one with: amtts train --out DIR; shipped: {', '.join(SHIPPED)}",
        )
    if not path.is_dir():
        raise CheckpointError(f"checkpoint {path} is a file; expected a checkpoint folder or a run folder")
    if (path / "checkpoint.json").exists():
        return path
    found = _pointed(path, prefer) or _pointed(path, "latest") or next(iter(checkpoints_of(path)[::-1]), None)
    if found is None:
        raise CheckpointError(
            f"{path} is neither a checkpoint (no checkpoint.json) nor a run folder with checkpoints",
            remedy="Train one with: amtts train --out DIR",
        )
    return found


def write_pointer(run: Path, name: str, folder: Path) -> None:
    """Points `latest` or `best` of a run at one of its checkpoints, atomically.

    Raises:
        CheckpointError: it cannot be written; the pointer stays as it was.
    """
    temporary = run / f".{name}.tmp"
    try:
        temporary.write_text(folder.name + "\n", encoding="utf-8")
        flush(temporary)
        temporary.replace(run / name)
    except OSError as error:
        raise unwritten(run / name, error) from error


def unwritten(path: Path, error: Exception) -> CheckpointError:
    """The error for a checkpoint or pointer that cannot be written."""
    return CheckpointError(
        f"checkpoint {path} could not be written: {getattr(error, 'strerror', None) or error}",
        remedy="Free space or fix the folder's permissions, then continue with --resume",
    )
