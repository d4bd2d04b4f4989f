"""Archives (zip, tar) as sources: listed first, then unpacked into the output folder; bombs are refused.

Only regular files are written, each where its name says inside of the folder, and no more bytes than were announced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from amtts_core.errors import AmttsError

LARGEST = 200 << 30
"""Bytes that an archive may unpack to."""
_HIGHEST_RATIO = 200  # unpacked to packed; sound hardly packs, a bomb packs a thousandfold
_HARMLESS = 64 << 20
_MOST_FILES = 5_000_000
_BLOCK = 1 << 20
_TARS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


@dataclass(frozen=True)
class _Member:
    """A file in an archive."""

    name: str
    size: int
    changed: float
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """True for a tar file, packed or not, and for a zip file that is no document."""
    try:
        if zipfile.is_zipfile(path):
            return True
        with path.open("rb") as handle:
            head = handle.read(512)
        packed = head.startswith(_TARS) and _names_a_tar(path)
        return (head[257:262] == b"ustar" or packed) and tarfile.is_tarfile(path)
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        return False


def _names_a_tar(path: Path) -> bool:
    name = path.name.lower()
    return ".tar" in name or name.endswith((".tgz", ".tbz2", ".txz", ".tbz"))


def unpack(path: Path, into: Path, *, mark: str) -> Path:
    """Unpacks an archive into a folder that is whole or absent, and returns the folder with the corpus.

    What an earlier run left of the same archive is used again.

    Args:
        path: of the archive.
        into: folder to make; its parent exists.
        mark: name of the file that says of which archive it is.

    Raises:
        AmttsError: damaged, encrypted, too large, or it cannot be written.
    """
    status = path.stat()
    version = f"{status.st_size} {status.st_mtime_ns}\n"
    with contextlib.suppress(OSError):
        if (into / mark).read_text() == version:
            return _corpus_in(into, mark)
    part = into.with_name(f"{into.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(into, ignore_errors=True)
        part.mkdir(parents=True)
        with _members(path) as members:
            _refuse_bomb(path, members, status.st_size, part)
            for member in members:
                _write(member, part)
        (part / mark).write_text(version)
        part.rename(into)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError):
        raise AmttsError(
            f"{path} is a damaged archive", remedy="Fetch it again, or unpack what is left of it"
        ) from None
    except RuntimeError as error:  # zipfile has no other kind for it
        if "password" not in str(error) and "encrypted" not in str(error):
            raise
        raise AmttsError(f"{path} is encrypted", remedy="Unpack it with its password first") from None
    except OSError as error:
        raise AmttsError(
            f"cannot unpack {path} into {error.filename or into}: {error.strerror}",
            remedy="Free space, or unpack it elsewhere and give the folder",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _corpus_in(into, mark)


def outside_names(path: Path) -> list[str]:
    """Names in an archive that lead out of the folder it is unpacked into; `unpack` passes over them.

    Raises:
        AmttsError: the archive is damaged or a bomb.
    """
    try:
        with _members(path) as members:
            _refuse_bomb(path, members, path.stat().st_size, path.parent)
            names = [member.name.replace("\\", "/") for member in members]
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError):
        raise AmttsError(
            f"{path.name} is a damaged archive", remedy="Fetch it again, or unpack what is left of it"
        ) from None
    return [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]


def _corpus_in(folder: Path, mark: str) -> Path:
    """The only folder in a folder, or the folder itself."""
    inner = [entry for entry in folder.iterdir() if entry.name != mark]
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else folder


@contextlib.contextmanager
def _members(path: Path) -> Iterator[list[_Member]]:
    with contextlib.ExitStack() as stack:
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            yield [_zip_member(archive, info) for info in archive.infolist() if not info.is_dir()]
            return
        tar = stack.enter_context(tarfile.open(path))
        yield [_tar_member(tar, info) for info in tar if info.isreg()]


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    name = info.filename
    if not info.flag_bits & 0x800:  # names that are not marked as UTF-8 often are
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    try:
        changed = time.mktime((*info.date_time, 0, 0, -1))
    except (OverflowError, ValueError):
        changed = 0.0
    return _Member(name, info.file_size, changed, lambda: archive.open(info))


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    def opened() -> IO[bytes]:
        handle = archive.extractfile(info)
        assert handle is not None, "only regular files are listed"
        return handle

    return _Member(info.name, info.size, float(info.mtime), opened)


def _refuse_bomb(path: Path, members: list[_Member], packed: int, into: Path) -> None:
    size = sum(member.size for member in members)
    if not members:
        raise AmttsError(f"{path} is an archive without files")
    if size > LARGEST or len(members) > _MOST_FILES or (size > _HARMLESS and size > _HIGHEST_RATIO * packed):
        raise AmttsError(
            f"{path} would unpack from {packed} to {size} bytes in {len(members)} files, which is no archive of sound",
            remedy="Unpack it yourself and give the folder",
        )
    free = shutil.disk_usage(into).free
    if size > free:
        raise AmttsError(
            f"{path} unpacks to {size >> 20} MiB, but {into.parent} has {free >> 20} MiB left",
            remedy="Free space, or unpack it elsewhere and give the folder",
        )


def _write(member: _Member, folder: Path) -> None:
    """Writes one file; a name that leads out of the folder, or belongs to the packing program, is passed over."""
    parts = [part for part in PurePosixPath(member.name.replace("\\", "/")).parts if part not in (".", "/")]
    if not parts or ".." in parts or parts[0] == "__MACOSX" or "\0" in member.name or ":" in parts[0]:
        return
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, target.open("wb") as out:
        while left >= 0 and (block := source.read(min(_BLOCK, left + 1))):
            left -= len(block)
            out.write(block)
    if left < 0:
        raise zipfile.BadZipFile("more than was announced")
    with contextlib.suppress(OSError, OverflowError, ValueError):
        os.utime(target, (member.changed, member.changed))
