"""Recordings with a text file each: `x.wav` and `x.txt` or `x.lab`, LibriTTS, VCTK, LibriSpeech, label tracks.

A text with times in it, such as a label track of Audacity, cuts the recording; its numbers are no words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.column_names import LANGUAGE_NAMES, SPEAKER_NAMES, SPOKEN_NAMES, TEXT_NAMES
from amtts_core.corpus.importers.json_rows import text_of
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import is_language
from amtts_core.corpus.importers.text_pairs import TextPair, find_text_pairs, has_pairs
from amtts_core.corpus.importers.timed_clips import TimedSource, timed_entries
from amtts_core.corpus.importers.walk import AUDIO_SUFFIXES, suffix_of
from amtts_core.corpus.subtitles.clean import clean_track, split_label
from amtts_core.corpus.subtitles.cue import Track
from amtts_core.corpus.subtitles.labels import has_stamps, read_labels
from amtts_core.corpus.subtitles.languages import keep_language
from amtts_core.corpus.subtitles.untangle import untangle
from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text

_LARGEST = 1 << 20  # bytes of a text
_STAMPED = (
    "the text names the times at which its lines begin, but not where they end; export it as .srt or .vtt, which cut "
    "the recording"
)


class WavTxt:
    """Pairs in any number of folders; where several folders hold pairs, a folder's name is the speaker's."""

    name: ClassVar[str] = "wav-txt"
    summary: ClassVar[str] = (
        "recordings with a .txt or .lab of the same name beside each or in a tree of its own; label tracks cut them"
    )

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where a recording has a text of its own."""
        if source.is_dir():
            return has_pairs(source)
        pairs = find_text_pairs(source.parent) if source.is_file() else []
        return any(source.name in (pair.sound, pair.text) for pair in pairs if pair.sound and pair.text)

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Walks the folder."""
        folder = source if source.is_dir() else source.parent
        pairs = find_text_pairs(folder)
        if options.speaker:
            pairs = [replace(pair, speaker="") for pair in pairs]
        if not source.is_dir():
            pairs = [pair for pair in pairs if source.name in (pair.sound, pair.text)]
        if not any(pair.sound and pair.text for pair in pairs):
            raise AmttsError(
                f"{source} holds no recording with a .txt or .lab of the same name",
                remedy="Name them alike: x.wav with x.txt",
            )
        locator = options.locator(folder)
        speakers = sorted({pair.speaker for pair in pairs if pair.speaker})
        by_folder = f"; speakers by their folders: {', '.join(speakers[:8])}" if speakers else ""
        warnings: list[str] = []
        entries = (entry for pair in pairs for entry in _entries(pair, locator, options, warnings))
        return Reading(locator.root, entries, None, f"{len(pairs)} recordings and texts{by_folder}", warnings)


def _entries(
    pair: TextPair, locator: AudioLocator, options: ReadOptions, warnings: list[str]
) -> Iterator[Clip | Fault]:
    yield from _entries_of(pair, locator, options, warnings)
    for twin in pair.twins:
        finding = Finding(rule="twin-recording", reason=f"it is {pair.sound} once more, which is read")
        yield Fault(where=twin, finding=finding, source=twin, speaker=pair.speaker)


def _entries_of(
    pair: TextPair, locator: AudioLocator, options: ReadOptions, warnings: list[str]
) -> Iterator[Clip | Fault]:
    if not pair.text:
        video = suffix_of(pair.sound) not in AUDIO_SUFFIXES
        reason = f"there is no .txt or .lab of the same name{' (a video?)' if video else ''}"
        finding = Finding(rule="empty-text", reason=reason)
        yield Fault(where=pair.sound, finding=finding, source=pair.sound, speaker=pair.speaker)
        return
    where = pair.text
    if not pair.sound:
        finding = Finding(rule="missing-file", reason="there is no recording of the same name")
        yield Fault(where=where, finding=finding, source=where, speaker=pair.speaker)
        return
    read = _Read(pair, locator, options)
    if isinstance(read.text, Finding):
        yield Fault(where=where, finding=read.text, source=pair.sound, speaker=read.speaker)
        return
    found = locator.find(pair.sound)
    if isinstance(found, Finding):
        yield Fault(where=where, finding=found, source=pair.sound, text=read.text, speaker=read.speaker)
        return
    track = None if pair.line else read_labels(read.raw, language=options.language)
    if track is not None:
        yield from _cut(pair, found, locator, track, options, warnings)
        return
    if not pair.line and has_stamps(read.raw):
        finding = Finding(rule="malformed-caption", reason=_STAMPED)
        yield Fault(where=where, finding=finding, source=pair.sound, text=read.text, speaker=read.speaker)
        return
    yield Clip(
        where=where,
        path=found,
        source=locator.relative(found),
        text=read.text,
        spoken=read.spoken,
        speaker=read.speaker,
        channel=options.channel,
    )


def _cut(
    pair: TextPair, path: Path, locator: AudioLocator, track: Track, options: ReadOptions, warnings: list[str]
) -> Iterator[Clip | Fault]:
    """The clips of a text with times."""
    note = keep_language(track, options.language)
    if note:
        warnings.append(f"{pair.text}: {note}")
    timed = TimedSource(
        name=pair.text,
        path=path,
        source=locator.relative(path),
        track=untangle(clean_track(track)),
        speaker=pair.speaker,
    )
    yield from timed_entries(timed, options, warnings)


class _Read:
    """The texts of a pair.

    Attributes:
        raw: the text with its line ends.
        text: as one line, or why it cannot be read.
        spoken: the source's own normalized text.
        speaker: that the text or the folder names.
    """

    def __init__(self, pair: TextPair, locator: AudioLocator, options: ReadOptions) -> None:
        self.raw, self.spoken, self.speaker = "", "", pair.speaker
        self.text: str | Finding = pair.line
        if not pair.line:
            raw = _text(locator.find(pair.text), pair.text)
            if isinstance(raw, Finding):
                self.text = raw
                return
            self.raw = raw
            self.text = " ".join(raw.split())
            if pair.text.lower().endswith(".json"):
                self._from_json(raw, pair.text, options)
                return
        if pair.spoken:
            spoken = _text(locator.find(pair.spoken), pair.spoken)
            self.spoken = "" if isinstance(spoken, Finding) else " ".join(spoken.split())
        named, said = split_label(self.text)
        if named:
            self.text, self.speaker = said, self.speaker or named

    def _from_json(self, raw: str, name: str, options: ReadOptions) -> None:
        """An object with the text of its recording."""
        self.raw = ""
        try:
            row: Any = json.loads(raw)
        except (json.JSONDecodeError, RecursionError):
            row = None
        if not isinstance(row, dict):
            self.text = Finding(rule="malformed-line", reason=f"{name} is no JSON object")
            return
        self.text = text_of(row, *TEXT_NAMES, *SPOKEN_NAMES)
        self.spoken = text_of(row, *SPOKEN_NAMES)
        self.speaker = text_of(row, *SPEAKER_NAMES) or self.speaker
        language = text_of(row, *LANGUAGE_NAMES)
        if language and not is_language(language, options.language):
            reason = f"its language is {language!r}, wanted is {options.language!r}"
            self.text = Finding(
                rule="other-language", reason=reason, value=language, threshold=options.language
            )


def _text(found: Path | Finding, where: str) -> str | Finding:
    """The content of a text, or why it cannot be read."""
    if isinstance(found, Finding):
        return found.model_copy(update={"reason": f"{where}: {found.reason}"})
    try:
        if os.stat(found).st_size > _LARGEST:
            return Finding(rule="too-large", reason=f"{where} has more than {_LARGEST} bytes")
        return decode_text(found.read_bytes(), source=where)
    except AmttsError as error:
        return Finding(rule="malformed-line", reason=error.message)
    except OSError as error:
        return Finding(rule="unreadable", reason=f"{where} cannot be opened: {error.strerror}")
