"""What an importer yields, and what it is. Adding a source is a file beside this one and a line in `__init__`.

An importer reads a source as it stands: it finds lines, texts and files, and it neither decodes nor judges. Every
entry of the source comes out in order, as a `Clip` or as a `Fault`, so that nothing is lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from amtts_core.corpus.filters import Finding
from amtts_core.units import Seconds


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One stretch of audio with its text, not yet decoded.

    Attributes:
        where: place in the source, for people, as in "metadata.csv:12".
        path: an existing regular file inside the corpus folder, symbolic links resolved.
        source: the same file as the corpus names it, relative to the corpus folder.
        text: as written.
        spoken: the source's own normalised text; empty where it has none.
        speaker: empty where the source names none.
        start: of the clip in its file.
        end: of the clip in its file; None is the end of the file.
        name: what its id should be; empty takes the audio file's.
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
    name: str = ""
    data: bytes = field(default=b"", repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    distinct: bool = False


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
    """

    root: Path
    entries: Iterator[Clip | Fault]
    total: int | None
    summary: str
    warnings: list[str] = field(default_factory=list)


class Importer(Protocol):
    """A kind of source."""

    name: ClassVar[str]
    summary: ClassVar[str]

    def recognises(self, source: Path) -> bool:
        """True where the source is surely of this kind; looks, but raises nothing."""
        ...

    def read(self, source: Path) -> Reading:
        """Opens the source.

        Raises:
            AmttsError: it is not of this kind, or cannot be read at all.
        """
        ...
