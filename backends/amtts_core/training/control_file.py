"""Pause and stop from another process, through the file `control` in the run folder.

echo stop > run/control      saves at the next step boundary and ends
echo pause > run/control     saves, then waits; remove the file (or write `go`) to continue

The file is read in any encoding that a shell or editor writes (UTF-8 with or without a mark, UTF-16).
"""

from __future__ import annotations

import codecs
import errno
import logging
import os
import time
from pathlib import Path
from typing import Literal

from amtts_core.storage.atomic import replace_text

logger = logging.getLogger(__name__)

CHECK_EVERY = 0.5
WORDS = ("stop", "pause", "go")


class ControlFile:
    """Reads the control file at most every half second.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / "control"
        self._next = 0.0
        self._reported = ""

    def word(self) -> Literal["", "pause", "stop"]:
        """What the file says; "go" counts as nothing.

        Raises:
            FileNotFoundError: the run folder is gone.
        """
        now = time.monotonic()
        if now < self._next:
            return ""
        self._next = now + CHECK_EVERY
        return self._read()

    def clear(self) -> None:
        """Removes the file."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> Literal["", "pause", "stop"]:
        try:
            word = _decoded(self._path.read_bytes()).strip().lower()
        except FileNotFoundError:
            run = self._path.parent
            if not run.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run)) from None
            self._reported = ""
            return ""
        except OSError as error:
            self._report(f"cannot be read ({error.strerror or error})")
            return ""
        if word and word not in WORDS:
            self._report(f"says '{word[:40]}'; known words: {', '.join(WORDS)}")
        else:
            self._reported = ""
        return "stop" if word == "stop" else "pause" if word == "pause" else ""

    def _report(self, what: str) -> None:
        """Warns once, however often the file is read."""
        if what != self._reported:
            logger.warning("%s %s", self._path, what)
        self._reported = what


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace").replace("\0", "")  # UTF-16 without a mark


def send(run: Path, word: str) -> None:
    """Writes a word for a running training, atomically."""
    replace_text(run / "control", word + "\n")
