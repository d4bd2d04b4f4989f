"""From a name in a source to a file inside the corpus folder: the one look-up of every importer.

The only place that decides what is inside. A name is looked for as it is written, then by its tail, then among all
recordings of the folder: with letters of another case or normal form, with another suffix, and by the name alone. What
was not found as written is counted, so that it can be reported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from amtts_core.audio.kinds import pointer
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.file_index import FileIndex
from amtts_core.corpus.importers.times import is_number

_FOLDERS = ("", "wavs", "audio", "wav", "clips", "audios")
_SUFFIXES = ("", ".wav", ".flac", ".ogg", ".mp3", ".opus")
PATTERNS = tuple((folder, suffix) for suffix in _SUFFIXES for folder in _FOLDERS)
"""Folder and suffix around a name that is not itself a path: LJSpeech's `wavs/<id>.wav` and its relatives."""

_KNOWN_FOLDERS = 1000
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]{1,9}://")
_PLACEHOLDER = re.compile(
    r"^(?:\{\w+\}|\$\w+|\$\{\w+\}|DUMMY\d*)[\\/]+"
)  # SpeechBrain's {data_root}, VITS' DUMMY1
_POINTER_SIZE = 1024  # bytes; a recording is longer
_SHOWN = 3  # examples of names that were found in another way

OTHER_WAYS = {
    "tail": "by the end of their path",
    "case": "under a name that is written in other letters",
    "suffix": "with another suffix",
    "name": "by their name alone",
    "number": "by their number, with zeros before it or decimal places after it",
    "link": "behind a link that is stored as text",
}


class AudioLocator:
    """Finds the files that a source names.

    Args:
        root: the corpus folder.
        pattern: the folder and suffix that the source's names usually need; tried first.
        extra: more folders whose files may be read; looked into after the corpus folder.

    Attributes:
        root: the corpus folder, symbolic links resolved.
        other_ways: how files were found that are not where the source says -> how many.
        examples: the same -> a few names and the files that were found.
    """

    def __init__(
        self, root: Path, pattern: tuple[str, str] = ("", ""), *, extra: Sequence[Path] = ()
    ) -> None:
        self.root = Path(os.path.realpath(root))
        self._roots = [self.root, *(Path(os.path.realpath(folder)) for folder in extra)]
        self._readable = tuple(_inside(folder) for folder in (*self._roots, *_hub_blobs(self.root)))
        self._folders: dict[
            str, str
        ] = {}  # as written -> resolved, inside; spares most names a walk from the root
        self._patterns = (pattern, *(other for other in PATTERNS if other != pattern))
        self._linked: dict[str, str] = {}  # files outside of all folders -> the link inside that leads there
        self._index: FileIndex | None = None
        self.other_ways: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def find(self, written: str) -> Path | Finding:
        """The file, symbolic links resolved, or why there is none."""
        name = written.strip()
        if not name:
            return Finding(rule="missing-file", reason="no audio file is named")
        if "\0" in name:
            return Finding(rule="malformed-line", reason="the file name holds a zero byte")
        refused: Finding | None = None
        for candidate in self._candidates(name):
            found = self._look(candidate)
            if isinstance(found, Path):
                return found
            refused = refused or found
        if refused is not None:
            return refused
        parts = _parts(name)
        if ".." not in parts:
            for way, found in self._elsewhere(name, parts):
                if isinstance(found, Path):
                    self._note(way, name, found)
                return found
        if self._leaves(name):
            return Finding(rule="outside-folder", reason="the path leads out of the corpus folder")
        tried = self._join(self.root, _spellings(name)[-1], self._patterns[0])
        return Finding(
            rule="missing-file", reason=f"there is no such file in the corpus folder; looked for {tried}"
        )

    def relative(self, path: Path) -> str:
        """A found file's path relative to the corpus folder, or the other folder it lies in, with forward slashes."""
        if (linked := self._linked.get(os.fspath(path))) is not None:
            return linked
        for root in self._roots:
            if os.fspath(path).startswith(_inside(root)):
                return os.fspath(path)[len(_inside(root)) :].replace(os.sep, "/")
        return path.name

    def pattern_of(self, written: str) -> tuple[str, str] | None:
        """The pattern under which a name is found; None where it is not."""
        name = written.strip()
        if not name or "\0" in name:
            return None
        for pattern in self._patterns:
            for root in self._roots:
                for spelling in _spellings(name):
                    if isinstance(self._look(self._join(root, spelling, pattern)), Path):
                        return pattern
        return None

    def names_a_file(self, written: str, *, numbers: bool = False) -> bool:
        """True where `find` would find a file; counts nothing.

        Args:
            written: as `find` takes it.
            numbers: a number alone may mean a file, as 7 means 0007.wav; the rows' own number must not.
        """
        before = self.other_ways.copy(), {way: list(paths) for way, paths in self.examples.items()}
        found = self.find(written)
        counted = self.other_ways["number"] > before[0]["number"]
        self.other_ways, self.examples = before
        if counted and not numbers and is_number(written):
            return False
        return isinstance(found, Path) or found.rule == "ambiguous-file"

    def notes(self) -> list[str]:
        """A line for each way in which files were found that are not where the source says."""
        return [
            f"{count} files were found {OTHER_WAYS[way]}: {', '.join(self.examples[way])}"
            for way, count in self.other_ways.items()
        ]

    def _note(self, way: str, name: str, found: Path) -> None:
        self.other_ways[way] += 1
        examples = self.examples.setdefault(way, [])
        if len(examples) < _SHOWN:
            examples.append(f"{name} -> {self.relative(found)}")

    def _join(self, root: Path, name: str, pattern: tuple[str, str]) -> str:
        folder, suffix = pattern
        return os.path.join(root, folder, name + suffix)

    def _candidates(self, name: str) -> Iterator[str]:
        """Paths where the file should be as it is written."""
        spellings = _spellings(name)
        if _is_foreign(name):
            yield name
            return
        for root in self._roots:
            for pattern in self._patterns:
                for spelling in spellings:
                    yield self._join(root, spelling, pattern)

    def _elsewhere(self, name: str, parts: list[str]) -> Iterator[tuple[str, Path | Finding]]:
        """Ways in which a file may be meant that is not where it should be: the first that fits counts."""
        # A path of another machine: its tail may be here. The longest tail that exists wins.
        as_written = "/".join(parts) == name.replace("\\", "/")
        for first in range(as_written and not _is_foreign(name), len(parts)):
            for root in self._roots:
                found = self._look(os.path.join(root, *parts[first:]))
                if isinstance(found, Path) and self._may_drop(parts[:first]):
                    yield "tail", found
        if self._index is None:
            self._index = FileIndex(self._roots)
        match = self._index.match(parts)
        if isinstance(match, Finding):
            yield "", match
        elif match is not None:
            found = self._look(match.path)
            if found is not None:
                yield match.way, found

    def _may_drop(self, dropped: Sequence[str]) -> bool:
        """False where the folders that a path begins with exist here: then the file should lie in them."""
        own = {part.casefold() for part in self.root.parts[-3:]}
        return not any(
            part.casefold() not in own and any((root / part).is_dir() for root in self._roots)
            for part in dropped
        )

    def _look(self, candidate: str, *, followed: bool = False) -> Path | Finding | None:
        folder, name = os.path.split(candidate)
        real = self._folders.get(folder)
        if real is not None and name not in ("", ".", ".."):
            with contextlib.suppress(OSError):  # looked at in detail below
                status = os.lstat(path := os.path.join(real, name))
                if stat.S_ISREG(status.st_mode) and status.st_size > _POINTER_SIZE:
                    return Path(path)
        try:
            real = os.path.realpath(candidate, strict=True)
            status = os.stat(real)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL):
                return self._broken_link(candidate)
            return Finding(rule="unreadable", reason=f"cannot be opened: {error.strerror}")
        if not real.startswith(self._readable):
            return self._outside(candidate, real)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            return Finding(rule="unreadable", reason=f"is {kind}, expected an audio file")
        if status.st_size <= _POINTER_SIZE and not followed and (behind := self._behind(real)) is not None:
            return behind
        if not real.startswith(tuple(map(_inside, self._roots))):
            self._linked.setdefault(real, os.path.relpath(candidate, self.root).replace(os.sep, "/"))
        if len(self._folders) < _KNOWN_FOLDERS and not os.path.islink(candidate):
            self._folders[folder] = os.path.dirname(real)
        return Path(real)

    def _outside(self, candidate: str, real: str) -> Finding:
        link = self._link_in(candidate)
        if link is None:
            return Finding(rule="outside-folder", reason="the path leads out of the corpus folder")
        target = os.path.realpath(link)
        what = "" if link == candidate else f"its folder {os.path.relpath(link, self.root)} "
        reason = (
            f"{what}is a link to {target}, which lies outside of the corpus folder; give a folder that holds both, or "
            f"--audio-root {target if what else os.path.dirname(target)}"
        )
        return Finding(rule="outside-folder", reason=reason)

    def _link_in(self, candidate: str) -> str | None:
        """The file, or the folder within the corpus folder on the way to it, that is a symbolic link."""
        path = candidate
        while len(path) > len(str(self.root)):
            if os.path.islink(path):
                return path
            path = os.path.dirname(path)
        return None

    def _broken_link(self, candidate: str) -> Finding | None:
        if not os.path.islink(candidate):
            return None
        reason = f"is a link to {os.readlink(candidate)}, which does not exist; fetch the files first"
        return Finding(rule="missing-file", reason=reason)

    def _behind(self, path: str) -> Path | Finding | None:
        """What stands behind a file that is only a pointer: one of Git LFS, or a link that was stored as text."""
        with contextlib.suppress(OSError), open(path, "rb") as handle:
            content = handle.read(_POINTER_SIZE)
            if problem := pointer(content):
                return Finding(rule="unreadable", reason=problem)
            if not content.startswith((b"../", b"./")) or content.count(b"\n") > 1 or b"\0" in content:
                return None
            target = os.path.join(os.path.dirname(path), os.fsdecode(content.strip()))
            found = self._look(target, followed=True)
            if isinstance(found, Path):
                self._linked[os.fspath(found)] = os.path.relpath(path, self.root).replace(os.sep, "/")
                self._note("link", os.path.basename(path), found)
                return found
            reason = (
                f"is a link to {os.fsdecode(content.strip())} that was stored as text; give a folder that holds both, "
                f"or --audio-root {os.path.normpath(os.path.dirname(target))}"
            )
            return Finding(rule="outside-folder", reason=reason)
        return None

    def _leaves(self, name: str) -> bool:
        for spelling in _spellings(name):
            if _DRIVE.match(spelling):
                return True
            if not os.path.normpath(os.path.join(self.root, spelling)).startswith(_inside(self.root)):
                return True
        return False


def _inside(folder: Path) -> str:
    return str(folder).rstrip(os.sep) + os.sep


def _hub_blobs(root: Path) -> list[Path]:
    """The store that a snapshot in the cache of the Hugging Face Hub links to."""
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith(
            ("datasets--", "models--")
        ):
            return [folder.parent.parent / "blobs"]
    return []


def _is_foreign(name: str) -> bool:
    """True for a path that begins at the root of a machine, or of a server."""
    return (
        os.path.isabs(name) or bool(_DRIVE.match(name)) or name.startswith("\\") or bool(_SCHEME.match(name))
    )


def _parts(name: str) -> list[str]:
    """The folders and the name of a path of any system, or of an address."""
    if _SCHEME.match(name) or "?d=" in name:
        address = urlsplit(name)
        inner = parse_qs(address.query).get("d")  # Label Studio: /data/local-files/?d=audio/x.wav
        name = inner[0] if inner else unquote(address.path)
    plain = _PLACEHOLDER.sub("", _DRIVE.sub("", name.lstrip("/") if name.startswith("/") else name))
    return [part for part in re.split(r"[\\/]+", plain) if part and part != "."]


def _spellings(name: str) -> tuple[str, ...]:
    plain = (name, name.replace("\\", "/")) if "\\" in name else (name,)
    return (*plain, unquote(plain[-1])) if "%" in name else plain
