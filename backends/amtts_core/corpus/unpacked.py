"""Sources that are archives, unpacked in the output folder for the time of a run."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from amtts_core.corpus.importers.json_manifest import manifests_in
from amtts_core.corpus.importers.layout import tables_beside
from amtts_core.corpus.importers.sniff import sniff
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, first_under
from amtts_core.corpus.naming import safe_stem
from amtts_core.errors import AmttsError

FOLDER = "unpacked"
MARK = ".amtts-unpacked"
"""A file in a folder of what was unpacked, which says of which archive it is."""
_LOOKED = 50


def archive_of(source: Path) -> Path | None:
    """The archive that a source is, or that is all there is in a folder; None for other sources."""
    if source.is_file():
        return source if sniff(source).importers == ("archive",) else None
    if not source.is_dir() or first_under(source, SOUND_SUFFIXES, looked=_LOOKED) is not None:
        return None
    files = [path for path in sorted(source.iterdir()) if path.is_file() and not path.name.startswith(".")]
    found = [path for path in files[:_LOOKED] if sniff(path).importers == ("archive",)]
    return found[0] if len(found) == 1 else None


class Unpacked:
    """What was unpacked for a run.

    Args:
        sources: as they are given.
        out: the output folder.

    Attributes:
        sources: folders in place of archives.
        given: folder that was unpacked -> the source that was given.
        recordings: folder that was unpacked of an archive of recordings, which tables beside it name; None for others.

    Raises:
        AmttsError: an archive cannot be unpacked; nothing is left of it then.
    """

    def __init__(self, sources: Sequence[Path], out: Path) -> None:
        self.folder = Path(os.path.realpath(out)) / FOLDER
        self.sources: list[Path] = []
        self.given: dict[Path, Path] = {}
        self.recordings: Path | None = None
        self._existed = self.folder.parent.is_dir()
        for source in sources:
            archive = archive_of(source)
            self.sources.append(source if archive is None else self._unpack(source, archive))

    def _unpack(self, source: Path, archive: Path) -> Path:
        from amtts_core.corpus.importers.archive import unpack

        out = self.folder.parent
        if out == Path(os.path.realpath(archive.parent)):
            raise AmttsError(f"--out {out} is the folder of {archive.name}", remedy="Choose another --out")
        target = self.folder / safe_stem(archive.name)
        if target in self.given:
            target = self.folder / f"{safe_stem(archive.name)}-{len(self.given) + 1}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / MARK).touch()
            folder = unpack(archive, target, mark=MARK)
        except OSError as error:
            raise AmttsError(f"cannot write {error.filename or out}: {error.strerror}") from None
        except AmttsError:
            self.given[target] = source
            self.give_up()
            raise
        if source.is_dir() and self.recordings is None and _is_listed_beside(source, folder):
            self.given[target] = source
            self.recordings = target
            return source
        self.given[folder] = source
        return folder

    def give_up(self) -> None:
        """Deletes what was unpacked for a run that does not begin, and the output folder where it was made for it."""
        if self.given:
            remove_unpacked(self.folder.parent)
            if not self._existed:
                with contextlib.suppress(OSError):
                    self.folder.parent.rmdir()


def _is_listed_beside(source: Path, folder: Path) -> bool:
    """True where an archive holds recordings and no texts, and a list lies beside it in the source."""
    from amtts_core.corpus.importers import IMPORTERS

    if any(importer.recognizes(folder) for importer in IMPORTERS.values()):
        return False
    return bool(tables_beside(source) or manifests_in(source))


def remove_unpacked(out: Path) -> None:
    """Deletes what a run unpacked in its output folder."""
    if is_own(out / FOLDER):
        shutil.rmtree(out / FOLDER, ignore_errors=True)


def is_own(folder: Path) -> bool:
    """True for a folder that a run unpacked archives into."""
    return folder.name == FOLDER and (folder / MARK).exists()
