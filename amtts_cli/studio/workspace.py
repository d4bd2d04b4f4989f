"""The folder that the studio works in: which paths of a form may be used, and what lies in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amtts_core.errors import AmttsError

HIDDEN = ".studio"
"""Folder of the studio's own files: job table, logs, uploads."""
Kind = Literal["corpus", "run", "tokenizer", "evaluation", "codes", "weights"]
_MARKS: dict[Kind, tuple[str, ...]] = {
    "corpus": ("train.jsonl",),
    "run": ("metrics.jsonl", "checkpoints"),
    "evaluation": ("report.json", "report.html", "work"),
    "codes": ("shard-*/codec.json",),
    "weights": ("vocab_report.json",),
    "tokenizer": ("tokenizer.json",),
}
_DEEPEST = 4
_MOST = 2000  # folders that are looked through


@dataclass(frozen=True)
class Workspace:
    """A folder and the rules for paths in it.

    Attributes:
        root: absolute, without symbolic links.
    """

    root: Path

    @classmethod
    def open(cls, folder: Path) -> Workspace:
        """The workspace in a folder, which is made where it is absent.

        Raises:
            AmttsError: it is a file, or cannot be made or written.
        """
        if folder.exists() and not folder.is_dir():
            raise AmttsError(f"--folder {folder} is a file; expected a folder")
        hidden = folder / HIDDEN
        try:
            for made in (hidden / "jobs", hidden / "files"):
                made.mkdir(parents=True, exist_ok=True)
            hidden.chmod(0o700)
        except OSError as error:
            raise AmttsError(
                f"--folder {folder} cannot be written: {error.strerror or error}",
                remedy="Choose a folder of yours",
            ) from None
        return cls(folder.resolve())

    @property
    def hidden(self) -> Path:
        """Where the studio keeps its own files."""
        return self.root / HIDDEN

    @property
    def jobs(self) -> Path:
        """The job table."""
        return self.hidden / "jobs"

    @property
    def files(self) -> Path:
        """Uploads and sounds that a browser plays."""
        return self.hidden / "files"

    def path(self, text: str | os.PathLike[str], *, what: str = "path") -> Path:
        """A path that a form names, resolved; it need not exist.

        Args:
            text: relative to the workspace, or absolute inside it.
            what: names the field in errors.

        Raises:
            AmttsError: empty, hidden, or outside of the workspace, through a symbolic link too.
        """
        given = os.fspath(text).strip()
        if not given:
            raise AmttsError(f"{what} is empty; expected a name in the workspace")
        if "\0" in given or len(given) > 1000:
            raise AmttsError(f"{what}: not a usable path")
        try:
            found = (self.root / given).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise AmttsError(f"{what} '{given}' cannot be used: {error}") from None
        if not found.is_relative_to(self.root):
            raise AmttsError(
                f"{what} '{given}' leaves the workspace {self.root}",
                remedy="Copy what you need into the workspace, or start the studio with another --folder",
            )
        parts = found.relative_to(self.root).parts
        if not parts:
            raise AmttsError(f"{what} '{given}' is the workspace itself; expected a name in it")
        if any(part.startswith((".", "-")) for part in parts):
            raise AmttsError(f"{what} '{given}': names beginning with '.' or '-' are not used here")
        return found

    def existing(self, text: str | os.PathLike[str], *, what: str = "path") -> Path:
        """As `path`, of something that is there.

        Raises:
            AmttsError: as `path`, or there is nothing.
        """
        found = self.path(text, what=what)
        if not found.exists():
            raise AmttsError(f"{what} '{text}' is not in the workspace {self.root}")
        return found

    def new(self, text: str | os.PathLike[str], *, what: str = "name") -> Path:
        """As `path`, of something that is to be made.

        Raises:
            AmttsError: as `path`, or something is there already.
        """
        found = self.path(text, what=what)
        if found.exists() and not (found.is_dir() and not any(found.iterdir())):
            raise AmttsError(f"{what} '{text}' is there already", remedy="Choose another name")
        return found

    def name(self, path: Path) -> str:
        """A path of the workspace as forms show it and commands get it: relative to the root."""
        return path.resolve().relative_to(self.root).as_posix()

    def free_name(self, stem: str) -> str:
        """`stem`, or `stem-2`, `stem-3` ... where that is taken."""
        number, name = 1, stem
        while (self.root / name).exists():
            number += 1
            name = f"{stem}-{number}"
        return name

    def find(self, kind: Kind) -> list[str]:
        """Names of the folders of a kind, the newest first."""
        marks = _MARKS[kind]
        found = [folder for folder in self._folders() if all(_has(folder, mark) for mark in marks)]
        found.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        return [self.name(folder) for folder in found]

    def _folders(self) -> Iterator[Path]:
        """Folders that a person made or had made; not those inside a run's checkpoints, nor behind links."""
        waiting, seen = [(self.root, 0)], 0
        while waiting and seen < _MOST:
            folder, depth = waiting.pop()
            seen += 1
            try:
                inside = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
            except OSError:  # removed meanwhile
                continue
            for entry in inside:
                if entry.name.startswith(".") or entry.name in ("checkpoints", "audio", "previous"):
                    continue
                path = Path(entry.path)
                yield path
                if depth + 1 < _DEEPEST:
                    waiting.append((path, depth + 1))


def _has(folder: Path, mark: str) -> bool:
    return any(folder.glob(mark)) if "*" in mark else (folder / mark).exists()
