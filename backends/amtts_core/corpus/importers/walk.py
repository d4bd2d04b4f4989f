"""Finds files under a corpus folder, in a fixed order, without following links to folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from amtts_core.audio.io import MEDIA_SUFFIXES

AUDIO_SUFFIXES = frozenset(
    (
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".mp2",
        ".aiff",
        ".aif",
        ".aifc",
        ".au",
        ".snd",
    )
    + (".w64", ".rf64", ".sph", ".caf")
)
SOUND_SUFFIXES = AUDIO_SUFFIXES | MEDIA_SUFFIXES


def suffix_of(name: str) -> str:
    """The ending of a file's name in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder under `root`, as a path relative to it, with the sorted names of its files; hidden ones left out."""
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = os.path.relpath(folder, root)
        yield (
            ("" if relative == "." else relative),
            sorted(name for name in names if not name.startswith(".")),
        )


def files_under(root: Path, suffixes: Collection[str]) -> Iterator[str]:
    """Paths relative to `root` of the files with one of the suffixes, or with one of the names, in a fixed order."""
    for folder, names in walk(root):
        for name in names:
            if suffix_of(name) in suffixes or name in suffixes:
                yield os.path.join(folder, name) if folder else name


def first_under(root: Path, suffixes: Collection[str], *, looked: int = 20_000) -> str | None:
    """One such file, looking at no more than `looked` folders."""
    for count, (folder, names) in enumerate(walk(root)):
        for name in names:
            if suffix_of(name) in suffixes or name in suffixes:
                return os.path.join(folder, name) if folder else name
        if count >= looked:
            break
    return None
