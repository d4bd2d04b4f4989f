"""Pause and stop from another process, through the file `control` in the run folder.

echo stop > run/control      saves at the next step boundary and ends
echo pause > run/control     saves, then waits; remove the file (or write `go`) to go on
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from amtts_core.storage.atomic import replace_text

logger = logging.getLogger(__name__)

CHECK_EVERY = 0.5
WORDS = ("stop", "pause", "go")


class ControlFile:
    """Reads the control file at most every half second. A word left from an earlier run is removed at the start."""

    def __init__(self, run: Path) -> None:
        self._path = run / "control"
        self._next = 0.0
        self._path.unlink(missing_ok=True)

    def word(self) -> str:
        """ "stop", "pause" or an empty string."""
        now = time.monotonic()
        if now < self._next:
            return ""
        self._next = now + CHECK_EVERY
        return self._read()

    def wait(self) -> str:
        """Waits while the file says "pause"; returns "stop" or an empty string."""
        while (word := self._read()) == "pause":
            time.sleep(CHECK_EVERY)
        return word

    def clear(self) -> None:
        """Takes the word back."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> str:
        try:
            word = self._path.read_text(encoding="utf-8").strip().lower()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("%s cannot be read (%s)", self._path, error)
            return ""
        if word and word not in WORDS:
            logger.warning("%s says '%s'; known words: %s", self._path, word[:40], ", ".join(WORDS))
        return word if word in ("stop", "pause") else ""


def send(run: Path, word: str) -> None:
    """Writes a word for a running training, atomically."""
    replace_text(run / "control", word + "\n")
