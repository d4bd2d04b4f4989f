"""Voices kept with a run or a checkpoint under a name: files in its folder `voices/`.

RUN/voices/almaz.pt      what a backend made of a recording, see `SavedVoices`
RUN/voices/kebede.wav    a recording, encoded again by each process
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from amtts_core.checkpoints.folders import find_checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError, nearest
from amtts_core.storage.checksums import add_to_seal

FOLDER = "voices"
NAME = re.compile(r"\w[\w. -]*", re.UNICODE)


def voice_folders(checkpoint: Path) -> list[Path]:
    """Where voices of a run or checkpoint lie: beside its checkpoints, and in the checkpoint that it speaks with."""
    found = find_checkpoint(checkpoint)
    return list(dict.fromkeys([checkpoint / FOLDER, found / FOLDER, found.parent / FOLDER]))


def kept_voices(checkpoint: Path) -> dict[str, Path]:
    """Name -> file of all voices that are kept with a run or checkpoint."""
    files = [
        file
        for folder in reversed(voice_folders(checkpoint))
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    ]
    return {file.stem: file for file in files}


def find_voice(checkpoint: Path, voice: str) -> Path:
    """The file of a voice: a path, or the name of one that is kept.

    Raises:
        AmttsError: neither; names those that are kept.
    """
    path = Path(voice)
    if path.is_file():
        return path
    kept = kept_voices(checkpoint)
    if voice in kept:
        return kept[voice]
    known = ", ".join(sorted(kept)) or "none"
    raise AmttsError(
        f"voice '{voice}' is neither a file nor kept with {checkpoint}{nearest(voice, kept)}; kept: {known}",
        remedy=f"Give a recording of the speaker, or keep it: amtts voice --checkpoint {checkpoint} --name NAME FILE",
    )


def save_voice(checkpoint: Path, recording: Path, *, name: str, backend: Backend[Any] | None = None) -> Path:
    """Keeps a recording's voice under a name.

    Args:
        checkpoint: run or checkpoint folder.
        recording: of the speaker.
        name: letters, digits, `-`, `_`, dots and spaces.
        backend: of the checkpoint; one with `SavedVoices` makes a file of its own, else the recording is copied.

    Returns:
        the file.

    Raises:
        AmttsError: the name is taken or none, or the recording cannot be read.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise AmttsError(f"voice name {name!r}: expected letters, digits, '-', '_', '.' and spaces")
    if not recording.is_file():
        raise AmttsError(f"recording {recording} does not exist")
    if taken := kept_voices(checkpoint).get(name):
        raise AmttsError(
            f"the voice '{name}' is there: {taken}", remedy="Give another --name, or remove the file"
        )
    folder = checkpoint / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        if backend is not None and (files := backend.spec.saved_voices):
            file = files.of(backend).save_voice(recording, folder / name)
        else:
            file = folder / f"{name}{recording.suffix.lower()}"
            shutil.copyfile(recording, file)
        add_to_seal(checkpoint, file)
    except OSError as error:
        raise AmttsError(f"voice '{name}' cannot be kept in {folder}: {error.strerror or error}") from None
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return file
