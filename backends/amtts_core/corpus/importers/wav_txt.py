"""Recordings with a text file of the same name beside each: `x.wav` and `x.txt` or `x.lab`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.walk import AUDIO_SUFFIXES, SOUND_SUFFIXES, suffix_of, walk
from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text

_TEXTS = (".txt", ".lab")
_LARGEST = 1 << 20  # bytes of a text
_PLAIN = {"wav", "wavs", "audio", "clips", "txt", "data", "train", "dev", "val", "test"}


class WavTxt:
    """Pairs in any number of folders; where several folders hold pairs, a folder's name is the speaker's."""

    name: ClassVar[str] = "wav-txt"
    summary: ClassVar[str] = "recordings with a .txt or .lab of the same name beside each"

    def recognises(self, source: Path) -> bool:
        """True where a folder holds a pair."""
        return source.is_dir() and next(_pair_folders(source), None) is not None

    def read(self, source: Path) -> Reading:
        """Walks the folder."""
        if not source.is_dir():
            raise AmttsError(f"{source} is a file; expected a folder with x.wav and x.txt")
        folders = list(_pair_folders(source))
        if not folders:
            raise AmttsError(f"{source} holds no recording with a .txt or .lab of the same name beside it")
        locator = AudioLocator(source)
        return Reading(locator.root, _entries(source, locator, len(folders) > 1), None, "recording and text")


def _pair_folders(source: Path) -> Iterator[str]:
    for folder, names in walk(source):
        stems = {os.path.splitext(name)[0] for name in names if suffix_of(name) in _TEXTS}
        if any(suffix_of(name) in SOUND_SUFFIXES and os.path.splitext(name)[0] in stems for name in names):
            yield folder


def _entries(source: Path, locator: AudioLocator, several: bool) -> Iterator[Clip | Fault]:
    for folder, names in walk(source):
        texts = {os.path.splitext(name)[0]: name for name in reversed(names) if suffix_of(name) in _TEXTS}
        sounds = [name for name in names if suffix_of(name) in SOUND_SUFFIXES]
        first = folder.split(os.sep)[0]
        speaker = first if several and first.lower() not in _PLAIN else ""
        for name in sounds:
            stem = os.path.splitext(name)[0]
            yield _entry(source, os.path.join(folder, name), stem, texts.get(stem), speaker, locator)
        stems = {os.path.splitext(name)[0] for name in sounds}
        for stem, name in sorted(texts.items()):
            if stem not in stems:
                where = os.path.join(folder, name)
                finding = Finding(rule="missing-file", reason="there is no recording of the same name")
                yield Fault(where=where, finding=finding, source=where, speaker=speaker)


def _entry(
    source: Path, named: str, stem: str, beside: str | None, speaker: str, locator: AudioLocator
) -> Clip | Fault:
    if beside is None:
        if suffix_of(named) not in AUDIO_SUFFIXES:
            finding = Finding(rule="empty-text", reason="no .txt or .lab of the same name (a video?)")
        else:
            finding = Finding(rule="empty-text", reason="there is no .txt or .lab of the same name")
        return Fault(where=named, finding=finding, source=named, speaker=speaker)
    where = os.path.join(os.path.dirname(named), beside)
    text = _text(locator.find(where), where)
    if isinstance(text, Finding):
        return Fault(where=where, finding=text, source=named, speaker=speaker)
    found = locator.find(named)
    if isinstance(found, Finding):
        return Fault(where=where, finding=found, source=named, text=text, speaker=speaker)
    return Clip(where=where, path=found, source=locator.relative(found), text=text, speaker=speaker)


def _text(found: Path | Finding, where: str) -> str | Finding:
    """All lines of a text as one, or why it cannot be read."""
    if isinstance(found, Finding):
        return found.model_copy(update={"reason": f"{where}: {found.reason}"})
    try:
        if found.stat().st_size > _LARGEST:
            return Finding(rule="too-large", reason=f"{where} has more than {_LARGEST} bytes")
        return " ".join(decode_text(found.read_bytes(), source=where).split())
    except AmttsError as error:
        return Finding(rule="malformed-line", reason=error.message)
    except OSError as error:
        return Finding(rule="unreadable", reason=f"{where} cannot be opened: {error.strerror}")
