"""The output folder of `prepare`: whose it is, with which settings it was made, and what may be written there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amtts_core.corpus.settings import PrepareSettings, differences
from amtts_core.corpus.unpacked import FOLDER as UNPACKED
from amtts_core.corpus.unpacked import is_own
from amtts_core.errors import AmttsError

STATE = "prepare.json"
_MADE_BY = "amtts prepare"
_FREE = ("max_rejected", "license", "consent_note")
"""Fields that may change from run to run: they do not change the corpus."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write into one line that names the file."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Free space and run the same command again: what is done is kept" if full else ""
        raise AmttsError(
            f"cannot write {error.filename or path}: {error.strerror or error}", remedy=remedy
        ) from None


class Workspace:
    """An output folder that may be used; nothing is written before `claim`.

    Args:
        out: created where it does not exist.
        sources: what is prepared, as it was given: folders or files.
        root: the corpus folder that holds the source's audio.
        settings: of this run.
        importer: name of the importer.
        force: accept another source or other settings and do everything again.

    Raises:
        AmttsError: the folder cannot be used for this run.
    """

    def __init__(
        self,
        out: Path,
        *,
        sources: Sequence[Path],
        root: Path,
        settings: PrepareSettings,
        importer: str,
        force: bool,
    ) -> None:
        self.out = Path(os.path.realpath(out))
        self.name = out
        self._root = root
        names = [_relative(Path(os.path.realpath(source)), self.out) for source in sources]
        places = [_digest(os.path.realpath(source)) for source in sources]
        self._head: dict[str, Any] = {
            "made_by": _MADE_BY,
            "importer": importer,
            "source": names[0] if len(names) == 1 else names,
            "source_place": places,
            "settings": settings.model_dump(mode="json"),
        }
        self._parents: set[Path] = set()
        self._unpacked = self.out / UNPACKED
        self._refuse_source()
        self.redo = self._check_existing(force) and force
        if (self.out / "audio").is_symlink():
            raise AmttsError(f"{out / 'audio'} is a symbolic link; nothing is written outside of {out}")

    def claim(self) -> None:
        """Makes the folder this run's; what says so is written first, so that a kill leaves no unknown folder.

        Raises:
            AmttsError: it cannot be written.
        """
        with writing(self.name):
            self.out.mkdir(parents=True, exist_ok=True)
            self.write_state("running")
            (self.out / "audio").mkdir(exist_ok=True)

    def _refuse_source(self) -> None:
        if self._unpacked in (self._root, *self._root.parents):
            return
        if self.out == self._root or self.out in self._root.parents:
            raise AmttsError(
                f"--out {self.name} is the folder of the source, or holds it",
                remedy="Choose a folder of its own",
            )

    def refuse_overlap(self, audio: Path) -> None:
        """Refuses an output folder inside a folder that holds the source's audio.

        Raises:
            AmttsError: as said.
        """
        parent = audio.parent
        if parent in self._parents:
            return
        self._parents.add(parent)
        if self._unpacked in audio.parents:
            return
        around = parent in self._root.parents  # a manifest in a folder of its own beside the recording
        inside = parent != self._root and (parent == self.out or (parent in self.out.parents and not around))
        if inside or self.out in audio.parents:
            raise AmttsError(
                f"--out {self.name} lies among the source's own audio ({parent})",
                remedy="Choose another --out",
            )

    def _check_existing(self, force: bool) -> bool:
        """True where the folder was made by an earlier run."""
        if not self.out.exists():
            return False
        if not self.out.is_dir():
            raise AmttsError(f"--out {self.name} is a file, expected a folder", remedy="Choose another --out")
        with writing(self.name):
            empty = all(
                (path.name.startswith(STATE) and path.suffix == ".tmp") or is_own(path)
                for path in self.out.iterdir()
            )
        if empty:
            return False
        try:
            old = json.loads((self.out / STATE).read_text(encoding="utf-8"))
            ours = old["made_by"] == _MADE_BY and isinstance(old["settings"], dict)
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise AmttsError(
                f"--out {self.name} is not empty and was not made by `amtts prepare`",
                remedy="Choose another --out",
            )
        if not force:
            self._refuse_changes(old)
        return True

    def _refuse_changes(self, old: dict[str, Any]) -> None:
        new = self._head
        before = PrepareSettings().model_dump(mode="json") | old["settings"]  # an older version had fewer
        changed = [d for d in differences(before, new["settings"]) if d[0] not in _FREE]
        was, now = _listed(old.get("source")), _listed(new["source"])
        places = _listed(old.get("source_place"))
        moved = (
            new["source_place"][: len(places)] == places
        )  # --out lies elsewhere, and the source where it was
        if now[: len(was)] != was and not moved:  # more sources may be added
            changed.append(("source", old.get("source"), new["source"]))
        if len(now) == len(was) and old.get("importer") != new["importer"]:
            changed.append(("importer", old.get("importer"), new["importer"]))
        if changed:
            listed = "; ".join(
                f"{name} is {_shown(was)} there and {_shown(now)} here" for name, was, now in changed
            )
            raise AmttsError(
                f"{self.name} was made with other settings: {listed}",
                remedy="Choose another --out, or redo everything with --force",
            )

    def write_state(self, state: str, **more: Any) -> None:
        """Records how far the run is: "running", "failed" or "complete"."""
        path = self.out / STATE
        with writing(path):
            temporary = path.with_name(
                f"{STATE}.{platform.node()}-{os.getpid()}.tmp"
            )  # shards start together
            text = json.dumps(self._head | {"state": state} | more, ensure_ascii=False, indent=2)
            try:
                temporary.write_text(text + "\n", encoding="utf-8")
                temporary.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)


def _digest(path: str) -> str:
    """What tells that a path is the same one, and does not say which."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _relative(path: Path, start: Path) -> str:
    """Relative, so that source and corpus can be moved together."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
