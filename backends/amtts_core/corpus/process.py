"""One clip from file to corpus: decode, measure, judge, trim, resample, level, write. Pure but for the file it writes.

The same task and settings give the same outcome and the same bytes on any machine, in any order, in any executor;
what depends on other clips (duplicates, splits, ids) is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from amtts_core.audio.bandwidth import bandwidth
from amtts_core.audio.clipping import flat_share
from amtts_core.audio.decoded import AudioError, AudioTooLongError, Decoded
from amtts_core.audio.io import decode, resample, write_flac
from amtts_core.audio.loudness import to_loudness
from amtts_core.audio.rumble import remove_rumble
from amtts_core.audio.trim import find_speech
from amtts_core.corpus.filters import Finding, Measurements, judge, other_length
from amtts_core.corpus.importers.record import language_names
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.text.language import get_language
from amtts_core.text.normalizer import Normalizer
from amtts_core.units import Decibels, Hertz, Seconds

_HUGE = 1e9


@dataclass(frozen=True, kw_only=True)
class ClipTask:
    """What is to be done for one clip.

    Attributes:
        id: names the written file.
        where: place in the source, for people.
        path: audio file; empty where none was found.
        source: the audio file as the corpus names it.
        text: as written.
        spoken: the source's own normalized text; empty where it has none.
        speaker: empty where there is none.
        start: of the clip in its file.
        end: of the clip in its file; None is the end of the file.
        length: of the whole recording as its row says; None where it says nothing of it.
        channel: number of the channel, from 0; None is the mean of all.
        track: number of the sound track of a video, from 0; None is the one in Amharic, or the first.
        data: the audio file's content, where it stands inside `path` instead of being it.
        tags: more fields for the manifest row.
        distinct: another reading than the others of the same text, though the speaker is not named.
        fingerprint: of everything that the outcome depends on.
        known: an earlier run left the outcome.
    """

    id: str
    where: str
    path: str = ""
    source: str
    text: str
    spoken: str = ""
    speaker: str = ""
    start: Seconds = 0.0
    end: Seconds | None = None
    length: Seconds | None = None
    channel: int | None = None
    track: int | None = None
    data: bytes = field(default=b"", repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    distinct: bool = False
    fingerprint: str = ""
    known: bool = False


class Outcome(BaseModel):
    """What came of a clip by itself; `finding` says why it cannot be kept."""

    model_config = ConfigDict(frozen=True)

    finding: Finding | None = None
    normalized_text: str = ""
    duration: Seconds = 0.0
    """Of the written audio."""
    audio_hash: str = ""
    """Of the decoded samples, before anything is done to them."""
    audio_bytes: int = 0
    """Size of the written file."""
    source_duration: Seconds = 0.0
    source_rate: Hertz = 0
    channels: int = 0
    sides_differ: bool = False
    """The two channels that were mixed hold sound that has nothing in common."""
    level: Decibels = 0.0
    noise: Decibels = 0.0
    clipped: float = 0.0
    snr: Decibels = 0.0
    silence: float = 0.0
    """Share of the source clip that is silence at its ends."""
    bandwidth: Hertz = 0
    """Of the source clip; nothing lies above it."""
    letters_per_second: float = 0.0
    """Letters of the normalized text per second of speech."""
    loudness: Decibels = 0.0
    """Before levelling, LUFS."""
    leftovers: dict[str, int] = Field(default_factory=dict)
    """Characters of the normalized text outside of the language's symbols, with their counts."""
    guesses: dict[str, int] = Field(default_factory=dict)
    """Words of the text that were read by guess, with their counts."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """What was left out of the text as no text, such as emoji and markup, with counts."""

    def measures(self) -> dict[str, float]:
        """What the manifest says about the recording as it came, by name."""
        return {
            "snr": self.snr,
            "clipped": self.clipped,
            "silence": self.silence,
            "loudness": self.loudness,
            "bandwidth": self.bandwidth,
            "letters_per_second": self.letters_per_second,
            "source_rate": self.source_rate,
        }


def _measurable(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """The samples with 0 for those that are NaN or infinite, and how many that were.

    What is a billion times full scale or more is cut there, so that squares stay finite.
    """
    low, high = samples.min(), samples.max()
    if low > -_HUGE and high < _HUGE:
        return samples, 0
    finite = np.isfinite(samples)
    count = int(len(finite) - np.count_nonzero(finite))
    return np.clip(np.where(finite, samples, 0), -_HUGE, _HUGE).astype(np.float32), count


def audio_name(identity: str) -> str:
    """Path of a clip's audio, relative to the corpus folder that is made."""
    return f"audio/{identity}.flac"


class ClipProcessor:
    """Does `ClipTask`s.

    Args:
        settings: what is done.
        out: the corpus folder; its `audio` folder exists.
    """

    def __init__(self, settings: PrepareSettings, out: Path) -> None:
        self.settings, self.out = settings, out
        self._normalizer = Normalizer(settings.normalizer)
        symbols = get_language(settings.normalizer.language).symbols
        self._letters = frozenset(s for s in symbols if unicodedata.category(s).startswith("L"))

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process pool as settings and folder."""
        return (ClipProcessor, (self.settings, self.out))

    def __call__(self, task: ClipTask) -> Outcome:
        """Decides about one clip and writes its audio if it can be kept.

        Raises:
            AmttsError: the audio cannot be written; that is no fault of the clip.
        """
        normalized, finding = self._text(task)
        if finding is not None:
            return Outcome(finding=finding, normalized_text=normalized)
        settings = self.settings
        span = None if task.end is None else task.end - task.start
        try:
            decoded = decode(
                Path(task.path),
                start=task.start,
                duration=span,
                max_duration=settings.max_source_duration,
                data=task.data,
                channel=task.channel,
                track=task.track,
                languages=language_names(settings.normalizer.language),
            )
        except AudioTooLongError as error:
            finding = Finding(
                rule="too-long", reason=error.message, value=round(error.duration, 3), threshold=error.limit
            )
            return Outcome(finding=finding, normalized_text=normalized)
        except AudioError as error:
            return Outcome(
                finding=Finding(rule="unreadable", reason=error.message), normalized_text=normalized
            )
        finding = other_length(task.length, len(decoded.samples) / decoded.sample_rate)
        if finding is not None:
            return Outcome(finding=finding, normalized_text=normalized)
        return self._audio(task, decoded, normalized)

    def _text(self, task: ClipTask) -> tuple[str, Finding | None]:
        written = task.spoken or task.text
        if not written.strip():
            return "", Finding(rule="empty-text", reason="there is no text")
        limit = self.settings.max_text
        if len(written) > limit:
            reason = f"{len(written)} characters of text, at most {limit} are accepted"
            return "", Finding(rule="text-too-long", reason=reason, value=len(written), threshold=limit)
        share = self._share_of_script(written)
        if share < self.settings.min_script:
            reason = f"{share:.0%} of the letters are of language '{self.settings.normalizer.language}'"
            threshold = self.settings.min_script
            return "", Finding(rule="wrong-script", reason=reason, value=round(share, 4), threshold=threshold)
        normalized = self._normalizer(written)
        if not any(character in self._letters for character in normalized):
            language = self.settings.normalizer.language
            reason = f"no letter of language '{language}' in {written[:40]!r}"
            return normalized, Finding(rule="no-letters", reason=reason, value=0, threshold=1)
        return normalized, None

    def _share_of_script(self, text: str) -> float:
        """Share of a text's letters that the language writes with; 1 where the text has no letters."""
        letters = [character for character in text if character.isalpha()]
        return sum(map(self._letters.__contains__, letters)) / len(letters) if letters else 1.0

    def _audio(self, task: ClipTask, decoded: Decoded, normalized: str) -> Outcome:
        settings, rate = self.settings, decoded.sample_rate
        # tells equal audio, guards nothing; the fastest that Python brings
        digest = hashlib.sha1(rate.to_bytes(4, "big"), usedforsecurity=False)
        digest.update(decoded.samples.data)
        samples, not_finite = _measurable(decoded.samples)
        clipped = max(decoded.full_scale, flat_share(samples))
        wide, source_rate = samples, rate
        if rate > settings.sample_rate:  # what is cut off anyway is not measured
            samples = resample(
                samples - samples.mean(), rate, settings.sample_rate
            )  # an offset would ring at the ends
            rate = settings.sample_rate
        steady = remove_rumble(samples, rate, settings.high_pass)
        speech = find_speech(steady, rate, below=settings.trim_level, margin=settings.trim_margin)
        begin, end = (speech.begin, speech.end) if settings.trim else (0, len(steady))
        letters = sum(map(self._letters.__contains__, normalized))
        measured = Measurements(
            source_duration=len(wide) / source_rate,
            duration=(end - begin) / rate,
            level=speech.level,
            clipped=clipped,
            not_finite=not_finite,
            snr=speech.snr,
            silence=1 - (speech.end - speech.begin) / len(steady),
            bandwidth=bandwidth(wide, source_rate),
            letters_per_second=letters * rate / (speech.end - speech.begin),
        )
        reading = self._normalizer.read(task.spoken or task.text)
        outcome = Outcome(
            finding=judge(measured, settings),
            normalized_text=normalized,
            audio_hash=digest.hexdigest(),
            source_duration=round(measured.source_duration, 6),
            source_rate=source_rate,
            channels=decoded.channels,
            sides_differ=decoded.sides_differ,
            level=round(speech.level, 2),
            noise=round(speech.noise, 2),
            clipped=round(clipped, 6),
            snr=round(measured.snr, 2),
            silence=round(measured.silence, 4),
            bandwidth=round(measured.bandwidth),
            letters_per_second=round(measured.letters_per_second, 3),
            leftovers=dict(self._normalizer.leftovers(normalized)),
            guesses=dict(reading.guesses),
            left_out=dict(reading.dropped),
        )
        if outcome.finding is not None:
            return outcome
        resampled = resample(steady[begin:end], rate, settings.sample_rate)
        levelled = to_loudness(
            resampled, settings.sample_rate, target=settings.loudness, ceiling=settings.peak
        )
        written = {
            "duration": round(len(levelled.samples) / settings.sample_rate, 6),
            "audio_bytes": write_flac(self.out / audio_name(task.id), levelled.samples, settings.sample_rate),
            "loudness": round(levelled.before, 2),
        }
        return outcome.model_copy(update=written)
