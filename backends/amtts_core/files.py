"""Writing a text file so that it is the old or the new one, and a folder so that it is whole or absent."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


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


def open_to_umask(path: Path) -> None:
    """Gives a file the permissions of any new file: safetensors keeps what it writes to its owner alone."""
    if path.is_file():
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)
