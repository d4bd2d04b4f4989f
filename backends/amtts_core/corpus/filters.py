"""Why a clip is not kept: named rules, each a measured value against a threshold of the settings.

A rule knows neither files nor importers. `FACTS` are rejections by other means than a
measured waveform; they are found where the file is opened, the line is read or the text is normalized.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from amtts_core.corpus.settings import PrepareSettings
from amtts_core.units import Decibels, Seconds

FACTS = {
    "malformed-line": "the line of the source cannot be read",
    "missing-file": "the audio file does not exist",
    "outside-folder": "the audio file lies outside of the corpus folder",
    "command": "the source names a command instead of a file, and commands are never run",
    "ambiguous-file": "several audio files have the name",
    "unreadable": "the audio file cannot be decoded",
    "too-large": "the entry is too large to be read safely",
    "empty-text": "there is no text",
    "malformed-caption": "the caption's times cannot be used",
    "not-speech": "the caption describes a sound, or is sung",
    "two-speakers": "the caption holds the words of two speakers",
    "overlapping-captions": "two captions stand at once with different words",
    "repeated-caption": "the caption repeats the words of the one before",
    "captions-do-not-fit": "the captions do not follow the voice in the recording",
    "other-subtitles": "the subtitles are not the ones that are read for the recording",
    "no-letters": "the text has no letter of the language",
    "wrong-script": "most letters of the text are of another script",
    "text-too-long": "the text is longer than any utterance's",
    "twin-recording": "the recording stands beside itself in another format, and is read once",
    "other-language": "the row says that it is in another language",
    "other-length": "the recording is much longer or shorter than its row says",
    "several-texts": "its recording stands with different texts, of which at most one is said",
    "duplicate-audio": "the same audio was kept before",
    "duplicate-text": "the same speaker said the same text before",
    "pace": "the text is much too long or short for its audio, by its speaker's habit",
    "sentence-on-other-side": "the sentence stands in another split, said by another speaker",
}

ASIDE = frozenset(
    ("other-subtitles", "repeated-caption", "not-speech", "empty-text", "other-language", "twin-recording")
)
"""Rules of entries that are no clips of this corpus: they are listed in the ledger, but nothing was judged, and they do
not count against `--max-rejected`."""


class Finding(BaseModel):
    """Why one clip is rejected."""

    model_config = ConfigDict(frozen=True)

    rule: str
    reason: str
    value: float | str | None = None
    threshold: float | str | None = None


_LONGER, _SHORTER = 1.25, 0.7  # times the length that a row says
_OTHER_UNIT = 200.0  # times the length that a row says: such a number counts milliseconds or samples
_LENGTH_SLACK: Seconds = 0.5  # silence that was added or cut off since


def other_length(said: Seconds | None, found: Seconds) -> Finding | None:
    """Why a recording is not the one that its row means; None where the lengths agree, or nothing is said.

    A longer one holds words that the text lacks, a shorter one lacks words of the text.

    Args:
        said: length of the whole recording as its row says.
        found: length of the decoded samples.
    """
    if said is None or found > _OTHER_UNIT * said or said > _OTHER_UNIT * found:
        return None
    if said * _SHORTER - _LENGTH_SLACK <= found <= said * _LONGER + _LENGTH_SLACK:
        return None
    reason = (
        f"the row says {said:.2f} s, the recording has {found:.2f} s; start and end would say which part is spoken, "
        "and --set fit=flag reads it all"
    )
    return Finding(rule="other-length", reason=reason, value=round(found, 3), threshold=round(said, 3))


@dataclass(frozen=True)
class Measurements:
    """What the rules look at.

    Attributes:
        source_duration: of the clip before trimming.
        duration: of the speech with its margins.
        level: of the loud frames, dBFS.
        clipped: share of the samples that are clipped, 0 to 1.
        not_finite: number of samples that are NaN or infinite.
        snr: estimate of the signal-to-noise ratio.
        silence: share of the clip that is silence at its ends, 0 to 1.
        bandwidth: frequency above which the clip holds nothing.
        letters_per_second: letters of the normalized text per second of speech.
    """

    source_duration: Seconds
    duration: Seconds
    level: Decibels
    clipped: float
    not_finite: int
    snr: Decibels
    silence: float
    bandwidth: float
    letters_per_second: float


@dataclass(frozen=True)
class Rule:
    """One reason to reject: the measured value lies beyond the threshold."""

    name: str
    measure: Callable[[Measurements], float]
    threshold: Callable[[PrepareSettings], float]
    beyond: Literal["above", "below"]
    reason: str
    """Filled with `value` and `threshold`."""

    def judge(self, measured: Measurements, settings: PrepareSettings) -> Finding | None:
        """The finding, or None where the clip passes."""
        value, threshold = self.measure(measured), self.threshold(settings)
        bad = value > threshold if self.beyond == "above" else value < threshold
        if not bad:
            return None
        reason = self.reason.format(value=value, threshold=threshold)
        return Finding(rule=self.name, reason=reason, value=_rounded(value), threshold=_rounded(threshold))


RULES: tuple[Rule, ...] = (
    Rule(
        "not-finite",
        lambda m: m.not_finite,
        lambda s: 0,
        "above",
        "{value:.0f} samples are NaN or infinite",
    ),
    Rule(
        "silent",
        lambda m: m.level,
        lambda s: s.silence,
        "below",
        "the loudest part is at {value:.1f} dBFS, speech is above {threshold:g}",
    ),
    Rule(
        "clipped",
        lambda m: m.clipped,
        lambda s: s.max_clipped,
        "above",
        "{value:.2%} of the samples are clipped, at most {threshold:.2%} are accepted",
    ),
    Rule(
        "too-short",
        lambda m: m.duration,
        lambda s: s.min_duration,
        "below",
        "{value:.2f} s of speech, at least {threshold:g} s are needed",
    ),
    Rule(
        "too-long",
        lambda m: m.duration,
        lambda s: s.max_duration,
        "above",
        "{value:.2f} s of speech, at most {threshold:g} s are accepted",
    ),
    Rule(
        "noisy",
        lambda m: m.snr,
        lambda s: s.min_snr,
        "below",
        "speech is {value:.1f} dB above the noise, at least {threshold:g} dB are needed",
    ),
    Rule(
        "silent-ends",
        lambda m: m.silence,
        lambda s: s.max_silence,
        "above",
        "{value:.0%} of the clip is silence at its ends, at most {threshold:.0%} is accepted",
    ),
    Rule(
        "narrow-band",
        lambda m: m.bandwidth,
        lambda s: s.min_bandwidth,
        "below",
        "there is nothing above {value:.0f} Hz, content up to {threshold:g} Hz is needed",
    ),
    Rule(
        "too-slow",
        lambda m: m.letters_per_second,
        lambda s: s.min_letters_per_second,
        "below",
        "{value:.1f} letters a second, at least {threshold:g} are expected",
    ),
    Rule(
        "too-fast",
        lambda m: m.letters_per_second,
        lambda s: s.max_letters_per_second,
        "above",
        "{value:.1f} letters a second, at most {threshold:g} can be said",
    ),
)
"""In the order they are asked; the first that fires names the rejection."""


def judge(measured: Measurements, settings: PrepareSettings) -> Finding | None:
    """The first rule that rejects the clip, or None."""
    for rule in RULES:
        finding = rule.judge(measured, settings)
        if finding is not None:
            return finding
    return None


def _rounded(value: float) -> float:
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0
