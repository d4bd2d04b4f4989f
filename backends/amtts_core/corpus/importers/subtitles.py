"""Recordings with SRT or WebVTT beside them: `talk.mp4` with `talk.srt` or `talk.am.vtt`; one pair or a folder of them.

What is done to a pair stands in `amtts_core.corpus.subtitles`; here the files are found and nothing is lost.
"""

from __future__ import annotations

import codecs
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from amtts_core.audio.activity import Activity, detect_activity, detector_name
from amtts_core.audio.decoded import AudioError
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, suffix_of, walk
from amtts_core.corpus.subtitles.align import align
from amtts_core.corpus.subtitles.clean import clean_track
from amtts_core.corpus.subtitles.cue import Track
from amtts_core.corpus.subtitles.cut import LONGEST, SHORTEST, merge_sentences, move_edges
from amtts_core.corpus.subtitles.parse import parse_subtitles
from amtts_core.corpus.subtitles.untangle import untangle
from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text

OTHER_SUBTITLES = "other-subtitles"
"""The rule of files in another language: listed, but they do not count against `--max-rejected`."""
_SUBTITLES = (".srt", ".vtt")
_LARGEST = 64 << 20  # bytes of subtitles
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DAMAGE = "\ufffd"
_FEW_DAMAGED = 0.05  # of a file's bytes, or characters
_OWN = ("am", "amh", "amharic", "am-et")
_log = logging.getLogger(__name__)


@dataclass
class _Pair:
    """A recording and its subtitles, as paths relative to the corpus folder; the best subtitles come first."""

    media: str = ""
    subtitles: list[str] = field(default_factory=list)


class Subtitles:
    """Captions become clips: aligned with the voice, cut in silences, joined to sentences of 1 to 15 s."""

    name: ClassVar[str] = "subtitles"
    summary: ClassVar[str] = "audio or video with .srt or .vtt beside it, one or a folder of them"

    def recognises(self, source: Path) -> bool:
        """True where a recording has subtitles of the same name, or is or has such in the folder."""
        folder, pairs = _pairs(source)
        return any(pair.media and pair.subtitles for pair in pairs)

    def read(self, source: Path) -> Reading:
        """Finds the pairs; each is decoded once to find the voice in it."""
        folder, pairs = _pairs(source)
        if not any(pair.subtitles and pair.media for pair in pairs):
            raise AmttsError(
                f"{source} holds no recording with subtitles of the same name",
                remedy="Name them alike: talk.mp4 with talk.srt or talk.am.vtt",
            )
        locator = AudioLocator(folder)
        detector = detector_name()
        _log.info("voice activity: %s", detector)
        warnings: list[str] = []
        if detector == "energy":
            _log.info("silero-vad finds voice better under music: pip install onnxruntime silero-vad")
        entries = (entry for pair in pairs for entry in _entries(pair, locator, warnings))
        return Reading(locator.root, entries, None, f"{len(pairs)} recording(s) with subtitles", warnings)


def _pairs(source: Path) -> tuple[Path, list[_Pair]]:
    """The folder, and every recording and subtitle file in it; for a file its own pair alone."""
    if source.is_dir():
        return source, [pair for folder, names in walk(source) for pair in _paired(folder, names)]
    if suffix_of(source.name) not in SOUND_SUFFIXES and suffix_of(source.name) not in _SUBTITLES:
        return source.parent, []
    pairs = _paired("", sorted(os.listdir(source.parent)))
    return source.parent, [pair for pair in pairs if source.name in (pair.media, *pair.subtitles)]


def recording_of(path: Path) -> Path | None:
    """The recording that a subtitle file, or the recording itself, belongs to; None for other files."""
    if path.is_dir():
        return None
    folder, pairs = _pairs(path)
    return next((folder / pair.media for pair in pairs if pair.media), None)


def _paired(folder: str, names: list[str]) -> list[_Pair]:
    sounds = {name: _Pair(os.path.join(folder, name)) for name in names if suffix_of(name) in SOUND_SUFFIXES}
    stems = {os.path.splitext(name)[0]: name for name in sounds}
    alone: list[_Pair] = []
    for name in names:
        if suffix_of(name) not in _SUBTITLES:
            continue
        stem = name
        while stem and stem not in stems:  # talk.am.srt belongs to talk.mp4
            shorter = os.path.splitext(stem)[0]
            stem = shorter if shorter != stem else ""
        if stem:
            sounds[stems[stem]].subtitles.append(os.path.join(folder, name))
        else:
            alone.append(_Pair(subtitles=[os.path.join(folder, name)]))
    for pair in sounds.values():
        pair.subtitles.sort(key=lambda name: (_rank(name), name))
    return [*sounds.values(), *alone]


def _rank(name: str) -> int:
    """Amharic by name first, then files that name no language, then other languages."""
    language = os.path.splitext(os.path.splitext(name)[0])[1].lstrip(".").lower()
    if language in _OWN:
        return 0
    return 2 if language.split("-")[0].isalpha() and len(language.split("-")[0]) in (2, 3) else 1


def _entries(pair: _Pair, locator: AudioLocator, warnings: list[str]) -> Iterator[Clip | Fault]:
    if not pair.media or not pair.subtitles:
        alone = pair.media or pair.subtitles[0]
        lacking = "subtitles" if pair.media else "recording"
        finding = Finding(
            rule="empty-text" if pair.media else "missing-file",
            reason=f"there are no {lacking} of the same name",
        )
        yield Fault(where=alone, finding=finding, source=alone)
        return
    for other in pair.subtitles[1:]:
        reason = f"{pair.media} is read with {pair.subtitles[0]}"
        yield Fault(where=other, finding=Finding(rule=OTHER_SUBTITLES, reason=reason), source=other)
    found = locator.find(pair.media)
    track = _track(pair.subtitles[0], locator)
    if isinstance(found, Finding) or isinstance(track, Finding):
        why = found if isinstance(found, Finding) else track
        assert isinstance(why, Finding)
        yield Fault(where=pair.subtitles[0], finding=why, source=pair.media)
        return
    try:
        activity = detect_activity(found)
    except AudioError as error:
        finding = Finding(rule="unreadable", reason=error.message)
        yield Fault(where=pair.subtitles[0], finding=finding, source=pair.media)
        return
    yield from _clips(pair, found, locator.relative(found), track, activity, warnings)


def _track(name: str, locator: AudioLocator) -> Track | Finding:
    """The captions with one's words each, or why the file cannot be read."""
    found = locator.find(name)
    if isinstance(found, Finding):
        return found
    try:
        if found.stat().st_size > _LARGEST:
            return Finding(rule="too-large", reason=f"has more than {_LARGEST >> 20} MiB")
        text = _decoded(found.read_bytes(), name)
    except AmttsError as error:
        return Finding(rule="unreadable", reason=error.message)
    except OSError as error:
        return Finding(rule="unreadable", reason=f"cannot be opened: {error.strerror}")
    parsed = parse_subtitles(text)
    for cue in [cue for cue in parsed.cues if _DAMAGE in cue.text]:
        parsed.cues.remove(cue)
        parsed.drop(cue, "malformed-caption", "it is not UTF-8 text")
    if not parsed.cues and not parsed.dropped:
        return Finding(rule="empty-text", reason="holds no caption with a time")
    return untangle(clean_track(parsed))


def _decoded(data: bytes, name: str) -> str:
    """The text; a few bytes that are no UTF-8 become marks that reject their captions and not the whole file.

    Raises:
        AmttsError: more is wrong than a few bytes.
    """
    few = data[:2] not in _UTF16 and data.count(b"\0") < _FEW_DAMAGED * len(data)
    marked = data.replace(b"\0", b"\xff") if few else data
    try:
        return decode_text(marked, source=name)
    except AmttsError:
        text = marked.decode("utf-8-sig", "replace")
        if not 0 < text.count(_DAMAGE) < _FEW_DAMAGED * len(text):
            raise
        return text


def _clips(
    pair: _Pair, path: Path, source: str, track: Track, activity: Activity, warnings: list[str]
) -> Iterator[Clip | Fault]:
    name = pair.subtitles[0]
    spoken = ("two-speakers", "overlapping-captions", "not-speech")
    aside = [cue for cue, finding in track.dropped if finding.rule in spoken and cue.end > cue.start]
    found = align([(cue.start, cue.end) for cue in track.cues], activity.voiced)
    _log.info("%s: %d captions, %s", name, len(track.cues), found.describe())
    if found.changes:
        warnings.append(f"{name} did not run with the recording: {found.describe()} was applied")
    elif found.doubtful and len(track.cues) > 3:
        warnings.append(
            f"{name} hardly follows the voice in {source} (score {found.score:.2f}); check some clips"
        )
    tags = {"subtitles": name, "quality": "auto" if track.auto else "manual"}
    for cue, finding in sorted(track.dropped, key=lambda entry: entry[0].number):
        text = " ".join(cue.text.split())
        yield Fault(where=f"{name}:{cue.number}", finding=finding, source=source, text=text[:500])
    aligned = [replace(cue, start=found.map(cue.start), end=found.map(cue.end)) for cue in track.cues]
    inside = []
    for cue in aligned:
        if cue.start >= activity.duration or cue.end <= 0:
            reason = f"it stands at {cue.start:.1f} s, the recording has {activity.duration:.1f} s"
            finding = Finding(rule="malformed-caption", reason=reason)
            yield Fault(where=f"{name}:{cue.number}", finding=finding, source=source, text=cue.text)
        else:
            inside.append(cue)
    cuts = merge_sentences(inside, auto=track.auto)
    others = [(found.map(cue.start), found.map(cue.end)) for cue in aside]
    for cut in move_edges(cuts, activity.voiced, activity.levels, others=others):
        where, length = f"{name}:{cut.numbers}", round(cut.end - cut.start, 3)
        if not SHORTEST <= length <= LONGEST + 2 * 0.3:
            short = length < SHORTEST
            limit = SHORTEST if short else LONGEST
            reason = (
                f"the sentence has {length:.2f} s, {'at least' if short else 'at most'} {limit:g} s are cut"
            )
            rule = "too-short" if short else "too-long"
            finding = Finding(rule=rule, reason=reason, value=length, threshold=limit)
            yield Fault(where=where, finding=finding, source=source, text=cut.text, speaker=cut.speaker)
            continue
        yield Clip(
            where=where,
            path=path,
            source=source,
            text=cut.text,
            speaker=cut.speaker,
            start=cut.start,
            end=cut.end,
            name=f"{os.path.splitext(os.path.basename(source))[0]}-{cut.cues[0].number:04d}",
            tags={**tags, "captions": cut.numbers},
        )
