"""Recordings with captions or annotations beside them: `talk.mp4` with `talk.srt`, `talk.TextGrid` ...

What is done to a pair stands in `amtts_core.corpus.subtitles` and `timed_clips`; here the files are found, and nothing
is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from amtts_core.audio.activity import detector_name
from amtts_core.audio.decoded import AudioError
from amtts_core.audio.io import MEDIA_SUFFIXES
from amtts_core.audio.media import embedded_captions
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.pairing import Pair, find_pairs, language_rank, names_another
from amtts_core.corpus.importers.record import language_names
from amtts_core.corpus.importers.timed_clips import TimedSource, timed_entries
from amtts_core.corpus.importers.walk import suffix_of
from amtts_core.corpus.subtitles.clean import clean_track
from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.corpus.subtitles.languages import keep_language
from amtts_core.corpus.subtitles.read import read_track
from amtts_core.corpus.subtitles.untangle import untangle
from amtts_core.errors import AmttsError
from amtts_core.text.script import script_share

_log = logging.getLogger(__name__)
_LOOKED = 20  # media files whose inside is looked at to tell the kind of a source


class Subtitles:
    """Captions become clips: aligned with the voice, cut in silences, joined to sentences of 1 to 15 s."""

    name: ClassVar[str] = "subtitles"
    summary: ClassVar[str] = (
        "audio or video with captions or annotations beside it: .srt, .vtt, .ass, .TextGrid, .eaf, Whisper's .json"
    )

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where a recording has captions of the same name or inside, or is or has such in the folder."""
        _, pairs = find_pairs(source)
        if any(pair.media and pair.subtitles for pair in pairs):
            return True
        folder = source if source.is_dir() else source.parent
        videos = [pair.media for pair in pairs if suffix_of(pair.media) in MEDIA_SUFFIXES]
        return any(_has_captions(folder / media) for media in videos[:_LOOKED])

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Finds the pairs; each is decoded once to find the voice in it."""
        folder, pairs = find_pairs(source, options.language)
        inside = {
            pair.media
            for pair in pairs
            if not pair.subtitles
            and suffix_of(pair.media) in MEDIA_SUFFIXES
            and _has_captions(folder / pair.media)
        }
        if not inside and not any(pair.subtitles and pair.media for pair in pairs):
            raise AmttsError(
                f"{source} holds no recording with captions of the same name",
                remedy="Name them alike: talk.mp4 with talk.srt or talk.am.vtt",
            )
        locator = options.locator(folder)
        detector = detector_name()
        _log.info("voice activity: %s", detector)
        warnings: list[str] = []
        if detector == "energy":
            _log.info("silero-vad finds voice better under music: pip install onnxruntime silero-vad")
        entries = (
            e for pair in pairs for e in _entries(pair, locator, pair.media in inside, options, warnings)
        )
        return Reading(locator.root, entries, None, f"{len(pairs)} recording(s) with captions", warnings)


def _has_captions(path: Path) -> bool:
    try:
        return any(captions for _, captions in embedded_captions(path))
    except (AmttsError, ImportError):
        return False


def _entries(
    pair: Pair, locator: AudioLocator, inside: bool, options: ReadOptions, warnings: list[str]
) -> Iterator[Clip | Fault]:
    if not inside and (not pair.media or not pair.subtitles):
        alone = pair.media or pair.subtitles[0]
        lacking = "subtitles" if pair.media else "recording"
        finding = Finding(
            rule="empty-text" if pair.media else "missing-file",
            reason=f"there are no {lacking} of the same name",
        )
        yield Fault(where=alone, finding=finding, source=alone)
        return
    found = locator.find(pair.media)
    if isinstance(found, Finding):
        name = pair.subtitles[0] if pair.subtitles else pair.media
        yield Fault(where=name, finding=found, source=pair.media)
        return
    if inside:
        name, track, notes = (
            pair.media,
            _embedded(found, options.language),
            ["the captions inside of the video are read"],
        )
    else:
        chosen = _best(pair.subtitles, locator, options.language)
        for other in pair.subtitles:
            if other != chosen:
                reason = f"{pair.media} is read with {chosen}"
                yield Fault(where=other, finding=Finding(rule="other-subtitles", reason=reason), source=other)
        if mark := names_another(chosen, options.language):
            reason = f"its name says that it is in {mark!r}, wanted is {options.language!r}"
            finding = Finding(rule="other-language", reason=reason, value=mark, threshold=options.language)
            yield Fault(where=chosen, finding=finding, source=pair.media)
            return
        name, read = chosen, _read(chosen, locator, options.language)
        if isinstance(read, Finding):
            yield Fault(where=name, finding=read, source=pair.media)
            return
        track, notes = read
    warnings.extend(f"{name}: {line}" for line in notes)
    timed = TimedSource(name=name, path=found, source=locator.relative(found), track=track)
    yield from timed_entries(timed, options, warnings)


def _read(name: str, locator: AudioLocator, language: str) -> tuple[Track, list[str]] | Finding:
    """The captions with one's words each, or why the file cannot be read."""
    found = locator.find(name)
    if isinstance(found, Finding):
        return found
    try:
        return read_track(found, name, language=language)
    except AmttsError as error:
        empty = "holds no caption" in error.message
        remedy = f"; {error.remedy}" if error.remedy else ""
        return Finding(rule="empty-text" if empty else "unreadable", reason=error.message + remedy)


def _best(names: list[str], locator: AudioLocator, language: str) -> str:
    """The captions in the wanted language; where several files may be, the one whose letters are."""
    ranks = [language_rank(name, language) for name in names]
    first = [name for name, rank in zip(names, ranks, strict=True) if rank == ranks[0]]
    if len(first) == 1 or ranks[0] == 0:
        return first[0]

    def share(name: str) -> float:
        read = _read(name, locator, language)
        if isinstance(read, Finding):
            return -1.0
        return round(script_share("".join(cue.text for cue in read[0].cues), language), 1)

    return max(first, key=lambda name: (share(name), -first.index(name)))


def _embedded(path: Path, language: str) -> Track:
    """The captions inside of a video: those that are marked with the language, or whose letters are its."""
    try:
        tracks = [(marked, captions) for marked, captions in embedded_captions(path) if captions]
    except AudioError:
        tracks = []
    if not tracks:
        return Track([])

    def rank(entry: tuple[str, list[tuple[float, float, str]]]) -> tuple[bool, float]:
        marked, captions = entry
        share = script_share("".join(text for _, _, text in captions), language)
        return marked in language_names(language), share

    _, captions = max(tracks, key=rank)
    track = Track([Cue(number, start, end, text) for number, (start, end, text) in enumerate(captions, 1)])
    keep_language(track, language)
    return untangle(clean_track(track))
