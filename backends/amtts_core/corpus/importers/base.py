"""What an importer yields, and what it is. Adding a source is a file beside this one and a line in `__init__`.

An importer reads a source as it stands: it finds lines, texts and files, and it neither decodes nor judges. Every
entry of the source comes out in order, as a `Clip` or as a `Fault`, so that nothing is lost on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from amtts_core.corpus.filters import Finding
from amtts_core.units import Seconds

if TYPE_CHECKING:
    from amtts_core.corpus.importers.column_roles import Columns
    from amtts_core.corpus.importers.locate import AudioLocator


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording that captions belong to.

    Attributes:
        path: of the file.
        duration: of its sound.
        channel: number of the channel that is taken, from 0; None is the mean of all.
        track: number of the sound track in its video, from 0; None is the one in the wanted language, or the first.
    """

    path: Path
    duration: Seconds
    channel: int | None = None
    track: int | None = None


Caption = tuple[str, Seconds, Seconds]
"""Text, start and end."""
WordTimes = Callable[[Recording, Sequence[Caption]], Sequence[tuple[Seconds, Seconds] | None]]
"""From a recording and its captions in order to the start of the first and the end of the last word of each caption;
None where they are not surely there."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One stretch of audio with its text, not yet decoded.

    Attributes:
        where: place in the source, for people, as in "metadata.csv:12".
        path: an existing regular file inside the corpus folder, symbolic links resolved.
        source: the same file as the corpus names it, relative to the corpus folder.
        text: as written.
        spoken: the source's own normalized text; empty where it has none.
        speaker: empty where the source names none.
        start: of the clip in its file.
        end: of the clip in its file; None is the end of the file.
        name: what its id should be; empty takes the audio file's.
        length: of the whole recording as the row says; None where it says nothing of it.
        channel: number of the channel in its file, from 0; None is the mean of all.
        track: number of the sound track in its video, from 0; None is the one in the wanted language, or the first.
        data: the audio file's content, where it stands inside `path` instead of being it.
        tags: more fields for the manifest row, such as "quality" or "licence".
        distinct: the source vouches that this is another reading than the others of the same text, though it does
            not name the speakers.
    """

    where: str
    path: Path
    source: str
    text: str
    spoken: str = ""
    speaker: str = ""
    start: Seconds = 0.0
    end: Seconds | None = None
    length: Seconds | None = None
    name: str = ""
    channel: int | None = None
    track: int | None = None
    data: bytes = field(default=b"", repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    distinct: bool = False


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a person says about a source, where it cannot be seen.

    Attributes:
        columns: role -> number, from 1, or name of a column of a table.
        audio_root: another folder whose recordings the source names.
        language: code of the language of the texts.
        channel: number of the channel that is taken of every recording, from 0; None takes what the source says, or the
            mean of all.
        fit: what is done about captions that do not follow the voice, "reject" or "flag".
        speaker: of rows that name none; where it is given, no folder's name is taken for a person's.
        word_times: finds the words of captions in their recording, such as `CaptionTimes` with a recognizer; None goes
            by the captions' own times and by where there is voice.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    audio_root: Path | None = None
    language: str = "am"
    channel: int | None = None
    speaker: str = ""
    fit: str = "reject"
    word_times: WordTimes | None = None

    def locator(
        self, root: Path, pattern: tuple[str, str] = ("", ""), *, above: bool = False
    ) -> AudioLocator:
        """The look-up of recordings for a source.

        Args:
            root: the corpus folder.
            pattern: folder and suffix that the source's names usually need.
            above: the folder above it belongs to the source as well.
        """
        from amtts_core.corpus.importers.locate import AudioLocator

        extra = [folder for folder in (self.audio_root, root.absolute().parent if above else None) if folder]
        return AudioLocator(root, pattern, extra=extra)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An entry of the source that is no clip, and why."""

    where: str
    finding: Finding
    source: str = ""
    text: str = ""
    speaker: str = ""
    name: str = ""


@dataclass(frozen=True)
class Reading:
    """An opened source.

    Attributes:
        root: the corpus folder; no clip lies outside of it.
        entries: everything in the source, in order, read while it is consumed.
        total: number of entries; None where counting costs as much as reading.
        summary: how the source was understood, in one line.
        warnings: what a person should know of the source; grows while the entries are read.
        nameless: a table that names no speaker: all of it may be one person's.
        table: the file whose columns were told apart, the first one of several; None for sources without columns.
        columns: of that table; None for sources without columns.
    """

    root: Path
    entries: Iterator[Clip | Fault]
    total: int | None
    summary: str
    warnings: list[str] = field(default_factory=list)
    nameless: bool = False
    table: Path | None = None
    columns: Columns | None = None


class Importer(Protocol):
    """A kind of source."""

    name: ClassVar[str]
    summary: ClassVar[str]

    def recognizes(self, source: Path, options: ReadOptions = ReadOptions()) -> bool:
        """True where the source is surely of this kind; looks, but raises nothing."""
        ...

    def read(self, source: Path, options: ReadOptions = ReadOptions()) -> Reading:
        """Opens the source.

        Args:
            source: folder or file.
            options: what a person says about it.

        Raises:
            AmttsError: it is not of this kind, or cannot be read at all.
        """
        ...
