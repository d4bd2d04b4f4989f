"""All recordings of a corpus folder by name, for what a source names otherwise than the disk does."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, files_under

_PREFERRED = (".wav", ".flac")
_NUMBER = re.compile(r"([0-9]{1,15})(?:\.0+)?")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the name of what is uploaded
_PLAIN_FOLDERS = frozenset(
    ("wav", "wavs", "audio", "audios", "clips", "data", "mp3", "flac", "sound", "sounds")
)


@dataclass(frozen=True)
class Match:
    """A recording that may be meant.

    Attributes:
        path: of the file.
        way: how it differs from the name, a key of `locate.OTHER_WAYS`.
    """

    path: str
    way: str


class FileIndex:
    """The recordings under some folders.

    Args:
        roots: folders; walked at once.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._names: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        self._stems: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        self._numbers: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
        self._folders: set[str] = set()
        for root in roots:
            for relative in files_under(root, SOUND_SUFFIXES):
                parts = tuple(map(fold, relative.split(os.sep)))
                entry = (os.path.join(root, relative), parts[:-1])
                self._names.setdefault(parts[-1], []).append(entry)
                self._stems.setdefault(os.path.splitext(parts[-1])[0], []).append(entry)
                self._folders.update(parts[:-1])
                if (stem := os.path.splitext(parts[-1])[0]).isdecimal():
                    self._numbers.setdefault(int(stem), []).append(entry)

    def match(self, parts: Sequence[str]) -> Match | Finding | None:
        """The recording that fits a path best, or that several do, or None."""
        if not parts:
            return None
        *folders, name = map(fold, parts)
        stem, suffix = os.path.splitext(name)
        known = suffix in SOUND_SUFFIXES
        for wanted in dict.fromkeys((name, _UPLOADED.sub("", name))):
            if known and wanted in self._names:
                return self._best(self._names[wanted], parts[-1], folders, name=wanted)
            key = os.path.splitext(wanted)[0] if known else wanted
            if key in self._stems:
                return self._best(self._stems[key], parts[-1], folders, name=wanted)
        return self._by_number(stem if known else name, parts[-1], folders)

    def _by_number(self, stem: str, written: str, folders: list[str]) -> Match | Finding | None:
        """0007.wav for 7 and 7.0: spreadsheets and pandas drop zeros and add decimal places."""
        number = _NUMBER.fullmatch(stem)
        if number is None or int(number[1]) not in self._numbers:
            return None
        found = self._best(self._numbers[int(number[1])], written, folders, name=stem)
        return Match(found.path, "number") if isinstance(found, Match) else found

    def _best(
        self, entries: list[tuple[str, tuple[str, ...]]], written: str, folders: list[str], *, name: str
    ) -> Match | Finding | None:
        ranked = [(_common(folders, own), path, own) for path, own in entries]
        most = max(common for common, _, _ in ranked)
        best = [(path, own) for common, path, own in ranked if common == most]
        best = _one_of_twins(best)
        if len(best) > 1:
            shown = ", ".join(path for path, _ in best[:3])
            return Finding(rule="ambiguous-file", reason=f"several files may be {written}: {shown}")
        path, own = best[0]
        dropped = folders[: len(folders) - most]
        if not self._may_be(dropped, own):
            return None
        return Match(path, self._way(path, written, folders, own, name))

    def _may_be(self, dropped: Sequence[str], own: Sequence[str]) -> bool:
        """False where a folder that the name begins with exists: the file should lie in it, and this is another one."""
        return not any(
            folder in self._folders and folder not in own and folder not in _PLAIN_FOLDERS
            for folder in dropped
        )

    def _way(self, path: str, written: str, folders: list[str], own: tuple[str, ...], name: str) -> str:
        found = os.path.basename(path)
        if os.path.splitext(fold(found))[1] != os.path.splitext(name)[1] and os.path.splitext(written)[1]:
            return "suffix"
        if _common(folders, own) == len(folders) == len(own) and fold(found) == fold(written):
            return "case"
        return "tail" if folders and _common(folders, own) else "name"


def fold(name: str) -> str:
    """A name in which letter case and normal form make no difference."""
    return unicodedata.normalize("NFC", name).casefold()


def _common(folders: Sequence[str], own: Sequence[str]) -> int:
    """How many folders in front of the name are the same."""
    count = 0
    for left, right in zip(reversed(folders), reversed(own), strict=False):
        if left != right:
            break
        count += 1
    return count


def _one_of_twins(entries: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """Of files in one folder that differ in their suffix alone, the one that is least compressed."""
    stems = {os.path.splitext(path)[0] for path, _ in entries}
    if len(entries) < 2 or len(stems) > 1:
        return entries

    def rank(entry: tuple[str, tuple[str, ...]]) -> tuple[int, str]:
        suffix = os.path.splitext(entry[0])[1].lower()
        return (_PREFERRED.index(suffix) if suffix in _PREFERRED else len(_PREFERRED), entry[0])

    return [min(entries, key=rank)]
