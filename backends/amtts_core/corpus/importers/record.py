"""From the fields of a row, whatever it was read from, to a clip or to what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.times import Scale, read_time, span_of
from amtts_core.corpus.subtitles.clean import split_label
from amtts_core.corpus.subtitles.languages import own_part

_LANGUAGES = {
    "am": ("am", "amh", "amharic", "አማርኛ"),
    "ti": ("ti", "tir", "tigrinya", "ትግርኛ"),
}
_CHANNELS = {"left": 0, "l": 0, "a": 0, "right": 1, "r": 1, "b": 1}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The fields of one row, as they are written.

    Attributes:
        audio: name of the recording.
        text: as written.
        spoken: the source's own normalized text.
        speaker: name or number.
        start: of the clip in its recording, on the column's scale.
        end: of the clip.
        duration: of the clip.
        language: code or name.
        channel: number or side.
        name: what the clip's id should be.
        tags: more fields for the manifest.
    """

    audio: str = ""
    text: str = ""
    spoken: str = ""
    speaker: str = ""
    start: object = None
    end: object = None
    duration: object = None
    language: str = ""
    channel: str = ""
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Makes clips of the rows of one source.

    Attributes:
        locator: finds the recordings.
        language: code of the language of the texts; rows in another one are set aside.
        scale: of the times.
        lengths: of the durations, where these are the lengths of whole recordings; None leaves them alone.
        timed: the source cuts its recordings, so that a row without times is none.
        whole: a row without times surely means all of its recording.
        from_start: a row without a start begins with its recording, as in NeMo's manifests.
        first_channel: how the source numbers the first channel.
        channel: that is taken of every recording, whatever the rows say.
        bilingual: most texts say the same in another script as well, which is left out.
    """

    locator: AudioLocator
    language: str = "am"
    scale: Scale = Scale()
    lengths: Scale | None = None
    timed: bool = False
    from_start: bool = False
    whole: bool = False
    first_channel: int = 0
    channel: int | None = None
    bilingual: bool = False

    def read(self, row: Row, where: str) -> Clip | Fault:
        """The clip of a row, or what is wrong with it."""
        row = self._plain(row)
        text, spoken = row.text or row.spoken, row.spoken
        found = self._look(row)
        if isinstance(found, Finding):
            return Fault(
                where=where, finding=found, source=row.audio, text=text, speaker=row.speaker, name=row.name
            )
        path, start, end, channel = found
        return Clip(
            where=where,
            path=path,
            source=self.locator.relative(path),
            text=text,
            spoken=spoken,
            speaker=row.speaker,
            start=start,
            end=end,
            length=self._length(row),
            name=row.name,
            channel=channel if self.channel is None else self.channel,
            tags=row.tags,
        )

    def _length(self, row: Row) -> float | None:
        """Of the whole recording, as the row says."""
        if self.timed or self.lengths is None:
            return None
        length = read_time(row.duration, self.lengths)
        return length if isinstance(length, float) and length > 0 else None

    def _find(self, row: Row) -> Path | Finding:
        """The recording; of several with its name the one in the speaker's folder."""
        found = self.locator.find(row.audio)
        unsure = isinstance(found, Finding) and found.rule == "ambiguous-file"
        if unsure and row.speaker and not set(row.speaker) & set("/\\"):
            own = self.locator.find(f"{row.speaker}/{row.audio}")
            return own if isinstance(own, Path) else found
        return found

    def _plain(self, row: Row) -> Row:
        """The row without a label of a speaker in its text, and without the other language."""
        named, said = split_label(row.text)
        if named:
            row = replace(row, text=said, speaker=row.speaker or named)
        if self.bilingual and (own := own_part(row.text, self.language)):
            row = replace(row, text=own)
        return row

    def _look(self, row: Row) -> Finding | tuple[Path, float, float | None, int | None]:
        if row.language and not is_language(row.language, self.language):
            reason = f"its language is {row.language!r}, wanted is {self.language!r}"
            return Finding(rule="other-language", reason=reason, value=row.language, threshold=self.language)
        if not row.audio and not row.text and not row.spoken:
            return Finding(rule="empty-text", reason="the row names no recording and no text")
        found = self._find(row)
        if isinstance(found, Finding):
            return found
        span: tuple[float, float | None] | str = (0.0, None)
        if self.timed:
            times = [read_time(value, self.scale) for value in (row.start, row.end, row.duration)]
            if self.from_start and times[0] is None and times[2] is not None:
                times[0] = 0.0
            if times[0] is None and times[1] is None and not self.whole:
                return Finding(
                    rule="malformed-line", reason="the row has no start and no end, though others have"
                )
            if _lacks_end(times) and (times[0] != 0 or not self.whole):
                return Finding(
                    rule="malformed-line", reason="the row has a start, but no end and no duration"
                )
            span = span_of(*times)
        if isinstance(span, str):
            return Finding(rule="malformed-line", reason=f"the row {span}")
        channel = read_channel(row.channel, first=self.first_channel)
        if isinstance(channel, str):
            return Finding(rule="malformed-line", reason=f"the row {channel}")
        return (found, *span, channel)


def _lacks_end(times: Sequence[float | None | str]) -> bool:
    """True for a start without an end and a duration: what is said up to the recording's end is not known."""
    return isinstance(times[0], float) and times[1] is None and times[2] is None


def language_names(code: str) -> tuple[str, ...]:
    """The codes and names of the language of a code."""
    return _LANGUAGES.get(code, (code,))


def is_language(written: str, code: str) -> bool:
    """True where a code or name of a language, such as `am-ET` or "Amharic", means the language of a code."""
    plain = written.strip().casefold().replace("_", "-")
    known = language_names(code)
    return plain in known or plain.split("-")[0] in known


def read_channel(written: str, *, first: int) -> int | None | str:
    """Number of a channel from 0, None where none is named, or what is wrong with it."""
    plain = written.strip().casefold()
    if not plain:
        return None
    if plain in _CHANNELS:
        return _CHANNELS[plain]
    if plain.isdigit() and int(plain) >= first:
        return int(plain) - first
    return f"has an unknown channel: {written[:40]!r}"
