"""Kaldi data folders: `text`, `wav.scp`, and maybe `segments` and `utt2spk`; also ALFFA's `<s> ... </s> (utt)` lists.

Nothing in `wav.scp` is ever run. Its paths are those of the machine that wrote it, so they are resolved inside the
folder.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.kaldi_command import recording_in
from amtts_core.corpus.importers.key_index import KeyIndex
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import read_channel
from amtts_core.corpus.importers.table import Line, count_lines, read_lines
from amtts_core.corpus.importers.walk import walk
from amtts_core.errors import AmttsError

_TRANSCRIBED = re.compile(r"^\s*<s>\s*(?P<text>.*?)\s*</s>\s*\((?P<key>[^()]+)\)\s*$")
_ALFFA = re.compile(r"^(?:tr|te|dev)_\d+_(?P<speaker>(?:tr|te|dev)\w*?)\d{3}$")
_LISTS = ("trsTrain.txt", "trsTest.txt")


class Kaldi:
    """A data folder, or a folder of several."""

    name: ClassVar[str] = "kaldi"
    summary: ClassVar[str] = "a Kaldi data folder: text, wav.scp, maybe segments and utt2spk"

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where a folder holds `wav.scp` and a text."""
        return source.is_dir() and bool(_data_folders(source))

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens every data folder under the source."""
        folders = _data_folders(source) if source.is_dir() else []
        if not folders:
            raise AmttsError(
                f"{source} is no Kaldi data folder: it holds no `text` with a `wav.scp` beside it",
                remedy="Give the folder that holds both",
            )
        locator = options.locator(source)
        names = ", ".join(os.path.relpath(folder, source) for folder in folders)
        warnings: list[str] = []
        entries = _all(folders, source, locator, options, warnings)
        return Reading(locator.root, entries, None, f"Kaldi data folder(s): {names}", warnings)


def _data_folders(source: Path) -> list[Path]:
    found = []
    for folder, names in walk(source):
        if "wav.scp" in names and _text_file(source / folder) is not None:
            found.append(source / folder)
        if folder.count(os.sep) > 3 or len(found) > 100:
            break
    return found


def _text_file(folder: Path) -> Path | None:
    return next((folder / name for name in ("text", *_LISTS) if (folder / name).is_file()), None)


def _all(
    folders: list[Path], source: Path, locator: AudioLocator, options: ReadOptions, warnings: list[str]
) -> Iterator[Clip | Fault]:
    for folder in folders:
        with ExitStack() as stack:
            yield from _Folder(folder, source, locator, options, stack).entries()
    warnings.extend(locator.notes())


class _Folder:
    def __init__(
        self, folder: Path, source: Path, locator: AudioLocator, options: ReadOptions, stack: ExitStack
    ) -> None:
        self._folder, self._locator = folder, locator
        self._channel = options.channel
        inside = os.path.relpath(folder, source)
        self._label = "" if inside == "." else f"{inside}/"
        text = _text_file(folder)
        assert text is not None
        self._text = text

        def index(name: str) -> KeyIndex:
            return stack.enter_context(KeyIndex(folder / name))

        self._wavs, self._segments, self._speakers = index("wav.scp"), index("segments"), index("utt2spk")
        self._channels = index("reco2file_and_channel")
        # ALFFA's lists carry the key at the end of the line, so they are not looked up
        self._texts = index(text.name) if text.name == "text" else None
        self._transcribed: set[str] | None = None if self._texts else set()

        self._find = lru_cache(1024)(self._search)  # segments name the same recordings again and again

    def _search(self, written: str) -> Path | Finding:
        if self._label and not os.path.isabs(written):  # relative to the data folder, or else to the source
            near = self._locator.find(f"{self._label}{written}")
            if isinstance(near, Path):
                return near
        return self._locator.find(written)

    def entries(self) -> Iterator[Clip | Fault]:
        """Every line of the text, and then the audio that no text speaks of."""
        for line in read_lines(self._text):
            yield self._entry(line)
        listed = self._folder / ("segments" if len(self._segments) else "wav.scp")
        if not count_lines(listed):
            return
        for line in read_lines(listed):
            key = line.text.split(None, 1)[0]
            if self._has_text(key):
                continue
            where = f"{self._label}{listed.name}:{line.number}"
            finding = Finding(rule="empty-text", reason=f"`{self._text.name}` has no line for it")
            yield Fault(where=where, finding=finding, source=key, name=key, speaker=self._speaker(key))

    def _has_text(self, key: str) -> bool:
        if self._transcribed is not None:
            return key in self._transcribed
        return self._texts is not None and self._texts.get(key) is not None

    def _speaker(self, key: str) -> str:
        speaker = self._speakers.get(key) or ""
        if speaker != key:
            return speaker
        # a recipe without speakers maps each utterance to itself; ALFFA's names tell them all the same
        named = _ALFFA.match(key)
        return named["speaker"] if named else ""

    def _entry(self, line: Line) -> Clip | Fault:
        where = f"{self._label}{self._text.name}:{line.number}"
        if line.problem:
            finding = Finding(rule="malformed-line", reason=f"the line {line.problem}")
            return Fault(where=where, finding=finding, text=line.text[:200])
        marked = _TRANSCRIBED.match(line.text)
        if marked:
            key, text = marked["key"].strip(), marked["text"]
        else:
            key, *rest = line.text.split(None, 1)
            text = rest[0].strip() if rest else ""
        if self._transcribed is not None:
            self._transcribed.add(key)
        speaker = self._speaker(key)

        def fault(finding: Finding) -> Fault:
            return Fault(where=where, finding=finding, source=key, text=text, speaker=speaker, name=key)

        segment = self._segments.get(key)
        cut = _cut(segment) if segment is not None else (key, 0.0, None)
        if isinstance(cut, str):
            return fault(Finding(rule="malformed-line", reason=f"the segment {segment!r} {cut}"))
        recording, start, end = cut
        found = self._recording(recording)
        if isinstance(found, Finding):
            return fault(found)
        path, channel = found
        source = self._locator.relative(path)
        return Clip(
            where=where,
            path=path,
            source=source,
            text=text,
            speaker=speaker,
            start=start,
            end=end,
            channel=channel,
            name=key,
            distinct=not speaker and self._speakers.get(key) == key,
        )

    def _recording(self, recording: str) -> tuple[Path, int | None] | Finding:
        """File and channel of a recording, or why there is none."""
        *file, side = (self._channels.get(recording) or "").split() or [""]
        written = self._wavs.get(recording)
        if written is None and file:
            written = self._wavs.get(file[0])
        if written is None:
            return Finding(rule="missing-file", reason=f"`wav.scp` has no line for {recording!r}")
        channel = read_channel(side, first=1)
        if isinstance(channel, str):
            return Finding(rule="malformed-line", reason=f"`reco2file_and_channel` {channel}")
        if written.endswith("|") or written.startswith("|"):
            named = recording_in(written)
            if isinstance(named, Finding):
                return named
            written, channel = named[0], channel if named[1] is None else named[1]
        found = self._find(written)
        if isinstance(found, Finding):
            return found
        return found, channel if self._channel is None else self._channel


def _cut(segment: str) -> tuple[str, float, float | None] | str:
    """Recording, start and end of a segment, or what is wrong with it."""
    parts = segment.split()
    if len(parts) not in (3, 4):
        return "has not the form: recording start end"
    try:
        start, end = float(parts[1]), float(parts[2])
    except ValueError:
        return "has times that are no numbers"
    if end == -1:
        return parts[0], start, None  # Kaldi's "to the end"
    if not (0 <= start < end and math.isfinite(end)):
        return "does not end after it starts"
    return parts[0], start, end
