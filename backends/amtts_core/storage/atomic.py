"""Writing a text file so that it is the old or the new one, and a folder so that it is whole or absent."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


def replace_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes UTF-8 through a hidden temporary file beside `path`.

    Args:
        path: in a folder that exists.
        text: the whole content.
        errors: what becomes of characters that UTF-8 cannot hold, as for `str.encode`.

    Raises:
        OSError: it cannot be written. What stood there before stays as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", errors=errors)
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder to write into, which becomes `folder` when all went well and is removed otherwise.

    Args:
        folder: absent, or empty.

    Raises:
        OSError: it cannot be made or put in place.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.rglob("*"):
            open_to_umask(path)
        if folder.is_dir():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def take_folder(folder: Path) -> int | None:
    """Keeps other processes of this machine from taking a folder, until the handle is closed or the process ends.

    Returns:
        The handle, for `os.close`; None where the system or the file system knows no locks.

    Raises:
        BlockingIOError: it is taken.
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a network drive without locks
        os.close(handle)
        return None
    return handle


def open_to_umask(path: Path) -> None:
    """Gives a file the permissions of any new file: safetensors keeps what it writes to its owner alone."""
    if path.is_file():
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)
