"""Pause and stop from another process, through the file `control` in the run folder.

echo stop > run/control      saves at the next step boundary and ends
echo pause > run/control     saves, then waits; remove the file (or write `go`) to continue
"""

from __future__ import annotations

import logging
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

    def word(self) -> Literal["", "pause", "stop"]:
        """What the file says; "go" counts as nothing."""
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
            word = self._path.read_text(encoding="utf-8").strip().lower()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("%s cannot be read (%s)", self._path, error)
            return ""
        if word and word not in WORDS:
            logger.warning("%s says '%s'; known words: %s", self._path, word[:40], ", ".join(WORDS))
        return "stop" if word == "stop" else "pause" if word == "pause" else ""


def send(run: Path, word: str) -> None:
    """Writes a word for a running training, atomically."""
    replace_text(run / "control", word + "\n")
