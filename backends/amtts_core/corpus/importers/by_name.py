"""Finds a file that a source names under a path of another machine: by the path's tail, then by its name alone."""

from __future__ import annotations

import re
from pathlib import Path

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, files_under


class NameLocator:
    """An `AudioLocator` that falls back to the name; the folder is walked once, when first needed."""

    def __init__(self, root: Path, pattern: tuple[str, str] = ("", "")) -> None:
        self._locator = AudioLocator(root, pattern)
        self.root = self._locator.root
        self._names: dict[str, str | None] | None = None

    def find(self, written: str) -> Path | Finding:
        """The file, symbolic links resolved, or why there is none."""
        found = self._locator.find(written)
        if isinstance(found, Path) or found.rule == "malformed-line":
            return found
        parts = [part for part in re.split(r"[\\/]+", written.strip()) if part]
        if not parts or ".." in parts:
            return found
        for first in range(1, len(parts) - 1):  # data/train/wav/x.wav, as seen from data/train
            tail = self._locator.find("/".join(parts[first:]))
            if isinstance(tail, Path):
                return tail
        inside = self._by_name().get(parts[-1], "")
        if inside is None:
            reason = f"several files in the corpus folder are called {parts[-1]}"
            return Finding(rule="ambiguous-file", reason=reason)
        return self._locator.find(inside) if inside else found

    def relative(self, path: Path) -> str:
        """A found file's path relative to the corpus folder, with forward slashes."""
        return self._locator.relative(path)

    def _by_name(self) -> dict[str, str | None]:
        if self._names is None:
            self._names = {}
            for path in files_under(self.root, SOUND_SUFFIXES):
                name = path.rsplit("/", 1)[-1]
                self._names[name] = None if name in self._names else path
        return self._names
