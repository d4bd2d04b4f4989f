"""From captions or annotations of a recording to its clips: aligned with the voice, cut in silences, nothing lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amtts_core.audio.activity import Activity, detect_activity
from amtts_core.audio.decoded import AudioError
from amtts_core.audio.io import MEDIA_SUFFIXES
from amtts_core.audio.media import sound_tracks
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, ReadOptions, Recording
from amtts_core.corpus.importers.record import language_names
from amtts_core.corpus.importers.walk import suffix_of
from amtts_core.corpus.subtitles.align import Alignment, align
from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.corpus.subtitles.cut import LONGEST, SHORTEST, Cut, at_words, merge_sentences, move_edges

_log = logging.getLogger(__name__)
_SPOKEN = ("two-speakers", "overlapping-captions", "not-speech")


@dataclass(frozen=True, kw_only=True)
class TimedSource:
    """A recording with its captions.

    Attributes:
        name: of the captions, for people and the manifest.
        path: of the recording.
        source: the recording as the corpus names it.
        track: the captions.
        speaker: of captions that name none.
    """

    name: str
    path: Path
    source: str
    track: Track
    speaker: str = ""


def timed_entries(timed: TimedSource, options: ReadOptions, warnings: list[str]) -> Iterator[Clip | Fault]:
    """The clips of a recording, and what is wrong with the captions that make none."""
    if timed.track.exact:
        yield from _dropped(timed, timed.track.dropped)
        yield from _exact(timed, options)
        return
    try:
        activity, found, sound = _heard(timed, options, warnings)
    except AudioError as error:
        finding = Finding(rule="unreadable", reason=error.message)
        yield Fault(where=timed.name, finding=finding, source=timed.source)
        return
    yield from _dropped(timed, timed.track.dropped)
    yield from _aligned(timed, activity, found, sound, options, warnings)


def _dropped(timed: TimedSource, dropped: Sequence[tuple[Cue, Finding]]) -> Iterator[Fault]:
    for cue, finding in sorted(dropped, key=lambda entry: entry[0].number):
        text = " ".join(cue.text.split())
        yield Fault(where=f"{timed.name}:{cue.number}", finding=finding, source=timed.source, text=text[:500])


def _exact(timed: TimedSource, options: ReadOptions) -> Iterator[Clip]:
    """Stretches that were marked by hand, cut where they were marked; words are joined to sentences."""
    cues = timed.track.cues
    cuts = (
        merge_sentences(cues, auto=True)
        if timed.track.words
        else [Cut(cue.start, cue.end, (cue,)) for cue in cues]
    )
    for cut in cuts:
        yield _clip(timed, cut, {"subtitles": timed.name}, options, None)


def _clip(
    timed: TimedSource, cut: Cut, tags: dict[str, str], options: ReadOptions, sound: int | None
) -> Clip:
    return Clip(
        where=f"{timed.name}:{cut.numbers}",
        path=timed.path,
        source=timed.source,
        text=cut.text,
        speaker=cut.speaker or timed.speaker,
        start=round(cut.start, 6),
        end=round(cut.end, 6),
        channel=options.channel,
        track=sound,
        name=f"{os.path.splitext(os.path.basename(timed.source))[0]}-{cut.cues[0].number:04d}",
        tags={**tags, "captions": cut.numbers},
    )


def _heard(
    timed: TimedSource, options: ReadOptions, warnings: list[str]
) -> tuple[Activity, Alignment, int | None]:
    """The voice in the recording, how the captions run against it, and the number of the sound track.

    Of several sound tracks the one in the wanted language counts; where none names it, the one that the captions fit.
    """
    spans = [(cue.start, cue.end) for cue in timed.track.cues]
    languages = sound_tracks(timed.path) if suffix_of(timed.path.name) in MEDIA_SUFFIXES else []
    own = [number for number, name in enumerate(languages) if name in language_names(options.language)]
    if len(languages) < 2 or own:
        number = own[0] if own else None
        activity = detect_activity(timed.path, channel=options.channel, track=number)
        return activity, align(spans, activity.voiced), number
    best: tuple[Activity, Alignment, int | None] | None = None
    for number in range(len(languages)):
        activity = detect_activity(timed.path, channel=options.channel, track=number)
        found = align(spans, activity.voiced)
        if best is None or found.score > best[1].score + 1e-6:
            best = activity, found, number
    assert best is not None
    names = ", ".join(name or "no language" for name in languages)
    warnings.append(
        f"{timed.source} has {len(languages)} sound tracks ({names}) and none in '{options.language}'; number "
        f"{(best[2] or 0) + 1} fits the captions best (score {best[1].score:.2f}) and is used"
    )
    return best


def _aligned(
    timed: TimedSource,
    activity: Activity,
    found: Alignment,
    sound: int | None,
    options: ReadOptions,
    warnings: list[str],
) -> Iterator[Clip | Fault]:
    track, name, source = timed.track, timed.name, timed.source
    aside = [cue for cue, finding in track.dropped if finding.rule in _SPOKEN and cue.end > cue.start]
    _log.info("%s: %d captions, %s", name, len(track.cues), found.describe())
    if found.misfit and options.fit == "reject":
        reason = (
            f"the captions do not follow the voice in {source} (score {found.score:.2f}, expected "
            f"{found.expected:.2f}): are they of another recording? --set fit=flag reads them all the same"
        )
        finding = Finding(
            rule="captions-do-not-fit", reason=reason, value=found.score, threshold=round(found.expected, 2)
        )
        for cue in track.cues:
            yield Fault(where=f"{name}:{cue.number}", finding=finding, source=source, text=cue.text)
        return
    if found.changes:
        warnings.append(f"{name} did not run with the recording: {found.describe()} was applied")
    elif found.doubtful and len(track.cues) > 3:
        warnings.append(
            f"{name} hardly follows the voice in {source} (score {found.score:.2f}); check some clips"
        )
    tags = {"subtitles": name, "quality": "auto" if track.auto else "manual"}
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
    if options.word_times is not None:
        recording = Recording(
            path=timed.path, duration=activity.duration, channel=options.channel, track=sound
        )
        captions = [(cut.text, cut.start, cut.end) for cut in cuts]
        cuts = at_words(cuts, options.word_times(recording, captions))
    others = [(found.map(cue.start), found.map(cue.end)) for cue in aside]
    for cut in move_edges(cuts, activity.voiced, activity.levels, others=others):
        length = round(cut.end - cut.start, 3)
        if SHORTEST <= length <= LONGEST + 2 * 0.3:
            yield _clip(timed, cut, tags, options, sound)
            continue
        short = length < SHORTEST
        limit = SHORTEST if short else LONGEST
        reason = f"the sentence has {length:.2f} s, {'at least' if short else 'at most'} {limit:g} s are cut"
        rule = "too-short" if short else "too-long"
        finding = Finding(rule=rule, reason=reason, value=length, threshold=limit)
        yield Fault(
            where=f"{name}:{cut.numbers}", finding=finding, source=source, text=cut.text, speaker=cut.speaker
        )
