"""What people point at when they mean weights: a run's inner folders, a hub id, the cache of Hugging Face."""

from __future__ import annotations

import re
from pathlib import Path

from amtts_core.checkpoints.folders import checkpoints_of
from amtts_core.errors import AmttsError, command

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
CACHE = "models--"


def located(path: Path, *, option: str) -> Path:
    """The run, checkpoint, folder or file that a path stands for.

    Of a run, its `checkpoints` folder stands for the run, `best` and `latest` for the checkpoint they name, a file
    inside a checkpoint for the checkpoint; of the cache of Hugging Face, a model's folder stands for its snapshot.

    Args:
        path: as the user gave it.
        option: of the command line, for messages.

    Raises:
        AmttsError: there is nothing; a hub id is named as such.
    """
    if not path.exists():
        raise _absent(path, option)
    if path.is_dir():
        if path.name == "checkpoints" and checkpoints_of(path.parent):
            return path.parent
        return _snapshot(path, option) if (path / "snapshots").is_dir() else path
    if (path.parent / "checkpoint.json").is_file():
        return path.parent
    if path.name in ("best", "latest") and checkpoints_of(path.parent):
        named = path.parent / "checkpoints" / path.read_text(encoding="utf-8", errors="replace").strip()
        if named in checkpoints_of(path.parent):
            return named
    return path


def _absent(path: Path, option: str) -> AmttsError:
    if HUB_ID.fullmatch(str(path)) and not path.parent.exists():
        folder = path.name
        return AmttsError(
            f"{option} {path} does not exist; it looks like the id of a model on Hugging Face",
            remedy=f"Download it: {command('hf', 'download', path, '--local-dir', folder)}, then give {folder}",
        )
    return AmttsError(f"{option} {path} does not exist", remedy="Give a run folder or a checkpoint")


def _snapshot(path: Path, option: str) -> Path:
    """The snapshot of a model in the cache: that of `main`, else the only one."""
    main = path / "refs" / "main"
    found = sorted(entry for entry in (path / "snapshots").iterdir() if entry.is_dir())
    if main.is_file():
        named = path / "snapshots" / main.read_text(encoding="utf-8").strip()
        found = [named] if named in found else found
    if len(found) == 1:
        return found[0]
    raise AmttsError(
        f"{option} {path} is a folder of the Hugging Face cache with {len(found)} snapshots",
        remedy=f"Give one of them, in {path / 'snapshots'}",
    )
