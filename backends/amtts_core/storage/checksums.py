"""Folders that know their own files: `files.json` lists size and sha256 of each, so that damage is seen before use."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from amtts_core.storage.atomic import open_to_umask, replace_text

LIST = "files.json"


def seal(folder: Path) -> None:
    """Lists the files of a folder in `files.json` and brings all of them to the disk.

    Raises:
        OSError: one cannot be read or written.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        open_to_umask(path)
    sums = {str(path.relative_to(folder)): described(path) for path in files}
    (folder / LIST).write_text(json.dumps(sums, indent=1), encoding="utf-8")
    for path in [*files, folder / LIST, *{path.parent for path in files}]:
        flush(path)


def add_to_seal(folder: Path, file: Path) -> None:
    """Adds a new file to the list of a sealed folder; a folder without a list stays without.

    Raises:
        OSError: one cannot be read or written.
    """
    if (folder / LIST).is_file():
        open_to_umask(file)
        flush(file)
        sums = json.loads((folder / LIST).read_text(encoding="utf-8"))
        sums[str(file.relative_to(folder))] = described(file)
        replace_text(folder / LIST, json.dumps(sums, indent=1))
        flush(folder)


def described(path: Path) -> dict[str, Any]:
    """What `files.json` says of a file."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def flush(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


DOCUMENTS = (".md", ".txt", ".wav", ".flac", ".png", ".html", ".pdf")
"""Endings of files that people put beside what is sealed, such as a model card; none of them is ever loaded."""


def broken_seal(folder: Path, *, needed: str, optional: Collection[str] = ()) -> str:
    """What differs from the list, or an empty string: a missing, truncated, altered or unlisted file.

    Args:
        folder: as `seal` left it; hidden files do not count, nor do documents at its top (`DOCUMENTS`).
        needed: a file that has to be in the list.
        optional: files of the list that may be missing, all of them together.
    """
    left_out = () if any((folder / name).exists() for name in optional) else optional
    try:
        sums = json.loads((folder / LIST).read_text(encoding="utf-8"))
        for name, expected in sums.items():
            path = folder / name
            if not path.is_file():
                if name in left_out:
                    continue
                return f"{name} is missing"
            size = path.stat().st_size
            if size != expected["bytes"]:
                return f"{name} has {size} bytes, expected {expected['bytes']}"
            found = described(path)["sha256"]
            if found != expected["sha256"]:
                return (
                    f"{name} does not match its checksum ({found[:12]}, expected {expected['sha256'][:12]})"
                )
        if needed not in sums:
            return f"{LIST} does not list {needed}"
        there = {path.relative_to(folder) for path in folder.rglob("[!.]*") if not path.is_dir()}
        extra = {str(path) for path in there if not _is_document(path)} - {*sums, LIST}
        if extra:
            return f"{min(extra)} is not listed in {LIST}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return f"{LIST} cannot be read ({type(error).__name__})"
    return ""


def _is_document(path: Path) -> bool:
    named = path.suffix.lower() in DOCUMENTS or path.stem.upper() in ("LICENSE", "NOTICE", "SHA256SUMS")
    return len(path.parts) == 1 and named
