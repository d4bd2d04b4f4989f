"""From a name in a source to a file inside the corpus folder. The only place that decides what is inside."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from amtts_core.corpus.filters import Finding

_FOLDERS = ("", "wavs", "audio", "wav", "clips")
_SUFFIXES = ("", ".wav", ".flac", ".ogg", ".mp3", ".opus")
PATTERNS = tuple((folder, suffix) for suffix in _SUFFIXES for folder in _FOLDERS)
"""Folder and suffix around a name that is not itself a path: LJSpeech's `wavs/<id>.wav` and its relatives."""

_KNOWN_FOLDERS = 1000
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


class AudioLocator:
    """Finds the files that a source names.

    Args:
        root: the corpus folder.
        pattern: the folder and suffix that the source's names usually need; tried first.
    """

    def __init__(self, root: Path, pattern: tuple[str, str] = ("", "")) -> None:
        self.root = Path(os.path.realpath(root))
        self._inside = str(self.root).rstrip(os.sep) + os.sep
        self._folders: dict[
            str, str
        ] = {}  # as written -> resolved, inside; spares most names a walk from the root
        self._patterns = (pattern, *(other for other in PATTERNS if other != pattern))

    def find(self, written: str) -> Path | Finding:
        """The file, symbolic links resolved, or why there is none."""
        name = written.strip()
        if not name:
            return Finding(rule="missing-file", reason="no audio file is named")
        if "\0" in name:
            return Finding(rule="malformed-line", reason="the file name holds a zero byte")
        for candidate in self._candidates(name):
            found = self._look(candidate)
            if found is not None:
                return found
        if self._leaves(name):
            return Finding(rule="outside-folder", reason="the path leads out of the corpus folder")
        return Finding(rule="missing-file", reason="there is no such file in the corpus folder")

    def relative(self, path: Path) -> str:
        """A found file's path relative to the corpus folder, with forward slashes."""
        return os.fspath(path)[len(self._inside) :].replace(os.sep, "/")

    def pattern_of(self, written: str) -> tuple[str, str] | None:
        """The pattern under which a name is found; None where it is not."""
        name = written.strip()
        if not name or "\0" in name:
            return None
        for pattern in self._patterns:
            for spelling in _spellings(name):
                if isinstance(self._look(self._join(spelling, pattern)), Path):
                    return pattern
        return None

    def _join(self, name: str, pattern: tuple[str, str]) -> str:
        folder, suffix = pattern
        return os.path.join(self.root, folder, name + suffix)

    def _candidates(self, name: str) -> Iterator[str]:
        spellings = _spellings(name)
        foreign = os.path.isabs(name) or bool(_DRIVE.match(name)) or name.startswith("\\")
        if not foreign:
            for pattern in self._patterns:
                for spelling in spellings:
                    yield self._join(spelling, pattern)
            return
        yield name
        # A path of another machine: its tail may be here. The longest tail that exists wins.
        parts = [part for part in re.split(r"[\\/]+", _DRIVE.sub("", name)) if part]
        if ".." not in parts:
            for first in range(len(parts)):
                yield os.path.join(self.root, *parts[first:])

    def _look(self, candidate: str) -> Path | Finding | None:
        folder, name = os.path.split(candidate)
        real = self._folders.get(folder)
        if real is not None and name not in ("", ".", ".."):
            with contextlib.suppress(OSError):  # looked at in detail below
                if stat.S_ISREG(os.lstat(path := os.path.join(real, name)).st_mode):
                    return Path(path)
        try:
            real = os.path.realpath(candidate, strict=True)
            mode = os.stat(real).st_mode
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            return Finding(rule="unreadable", reason=f"cannot be opened: {error.strerror}")
        if not real.startswith(self._inside):
            return Finding(rule="outside-folder", reason="the path leads out of the corpus folder")
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            return Finding(rule="unreadable", reason=f"is {kind}, expected an audio file")
        if len(self._folders) < _KNOWN_FOLDERS and not os.path.islink(candidate):
            self._folders[folder] = os.path.dirname(real)
        return Path(real)

    def _leaves(self, name: str) -> bool:
        for spelling in _spellings(name):
            if _DRIVE.match(spelling):
                return True
            if not os.path.normpath(os.path.join(self.root, spelling)).startswith(self._inside):
                return True
        return False


def _spellings(name: str) -> tuple[str, ...]:
    return (name, name.replace("\\", "/")) if "\\" in name else (name,)
