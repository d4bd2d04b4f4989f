"""What a source holds, before anything is made of it: how it was read, how many clips, how many minutes.

Reads as `prepare` does, with the same importers, and neither decodes nor writes; archives alone are unpacked, into the
folder where `prepare` finds them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import soundfile

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.media import media_length
from amtts_core.audio.sound import ForeignSound, opened
from amtts_core.corpus.importers import Clip, Reading, choose_importer, read_sources
from amtts_core.corpus.importers.column_roles import Columns
from amtts_core.corpus.importers.hub import current_snapshot
from amtts_core.corpus.importers.layout import first_rows, tables_beside
from amtts_core.corpus.prepare import read_options
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.unpacked import Unpacked
from amtts_core.errors import AmttsError
from amtts_core.units import Seconds

MEASURED = 2000
"""Recordings whose length is read; of more the rest is taken to be as long as these."""


@dataclass(frozen=True)
class SourceLook:
    """What a source holds.

    Attributes:
        importer: name of the importer that reads it.
        summary: how it was understood, the line that `amtts prepare` logs.
        clips: entries that are stretches of audio with a text.
        faults: rule -> entries that are none.
        seconds: of all clips.
        exact: False where some lengths were estimated.
        first: the first clips.
        speakers: named in the source.
        warnings: what a person should know of the source.
        table: the file whose columns were told apart; None for sources without columns.
        columns: of that table.
        rows: the first rows of that table, its header too.
    """

    importer: str
    summary: str
    clips: int
    faults: Counter[str]
    seconds: Seconds
    exact: bool
    first: Sequence[Clip]
    speakers: Counter[str] = field(default_factory=Counter)
    warnings: Sequence[str] = ()
    table: Path | None = None
    columns: Columns | None = None
    rows: Sequence[Sequence[str]] = ()


def look_into(
    source: Path | Sequence[Path],
    out: Path,
    settings: PrepareSettings,
    *,
    importer: str = "",
    audio_root: Path | None = None,
    shown: int = 10,
    keep: bool = False,
) -> SourceLook:
    """Reads a source to its end without decoding its clips.

    Args:
        source: folder or file, or several of them.
        out: folder that the corpus will be made in; archives are unpacked there.
        settings: of the corpus: columns, speaker, channel, language.
        importer: name of an importer; empty finds it by looking.
        audio_root: another folder with recordings that the source names.
        shown: clips in `first`.
        keep: leave what was unpacked of archives for `prepare`, also where the source cannot be read.

    Raises:
        AmttsError: it cannot be read, or holds no entry.
    """
    given = [current_snapshot(one) for one in ([source] if isinstance(source, Path) else source)]
    options = read_options(settings, audio_root)
    unpacked = Unpacked(given, out)
    try:
        if unpacked.recordings is not None and audio_root is None:
            options = replace(options, audio_root=unpacked.recordings)
        name, sources, reading = read_sources(
            unpacked.sources, lambda one: choose_importer(one, importer, options), options
        )
        look = _look(name, reading, shown=shown)
    except BaseException:
        if not keep:
            unpacked.give_up()
        raise
    if not keep:
        unpacked.give_up()
    if not look.clips and not look.faults:
        raise AmttsError(
            f"{', '.join(map(str, sources))} holds no clip", remedy="Write one line a clip: audio_file|text"
        )
    return look


def _look(name: str, reading: Reading, *, shown: int) -> SourceLook:
    faults: Counter[str] = Counter()
    speakers: Counter[str] = Counter()
    lengths = _Lengths()
    first: list[Clip] = []
    clips = 0
    for entry in reading.entries:
        if not isinstance(entry, Clip):
            faults[entry.finding.rule] += 1
            continue
        clips += 1
        lengths.add(entry)
        if entry.speaker:
            speakers[entry.speaker] += 1
        if len(first) < shown:
            first.append(entry)
    rows: Sequence[Sequence[str]] = ()
    if reading.table is not None and reading.columns is not None and not _is_json(reading.table):
        rows = first_rows(reading.table)
    return SourceLook(
        importer=name,
        summary=reading.summary,
        clips=clips,
        faults=faults,
        seconds=lengths.total,
        exact=lengths.exact,
        first=first,
        speakers=speakers,
        warnings=list(reading.warnings),
        table=reading.table,
        columns=reading.columns,
        rows=rows,
    )


def _is_json(table: Path) -> bool:
    return ".json" in "".join(table.suffixes).lower()


class _Lengths:
    """Adds up the lengths of clips."""

    def __init__(self) -> None:
        self._known: Seconds = 0.0
        self._measured: Seconds = 0.0
        self._count = self._unknown = 0

    def add(self, clip: Clip) -> None:
        """Counts a clip: by its times, by its row, or by its file's header."""
        if clip.end is not None:
            self._known += max(0.0, clip.end - clip.start)
        elif self._count < MEASURED and (length := length_of(clip)) is not None:
            self._measured += max(0.0, length - clip.start)
            self._count += 1
        else:
            self._unknown += 1

    @property
    def total(self) -> Seconds:
        """Of all clips; those without a length are as long as the others."""
        mean = self._measured / self._count if self._count else 0.0
        return self._known + self._measured + self._unknown * mean

    @property
    def exact(self) -> bool:
        """True where every length is known."""
        return self._unknown == 0


def length_of(clip: Clip) -> Seconds | None:
    """The length of a clip's whole file by its header; None where only decoding tells."""
    try:
        with opened(clip.path, clip.data) as sound:
            return sound.total / sound.rate if sound.total else None
    except ForeignSound:
        try:
            return None if clip.data else media_length(clip.path)
        except AmttsError:  # the reader of videos is not installed; `prepare` says so
            return None
    except (AudioError, soundfile.SoundFileError, OSError):
        return None


def table_of(source: Path, out: Path) -> tuple[Path, list[list[str]]] | None:
    """The table of a source whose columns could not be told apart, and its first rows; None where there is none.

    Args:
        source: folder, file or archive.
        out: as for `look_into`, which left what it unpacked there.
    """
    unpacked = Unpacked([source], out)
    folder = unpacked.sources[0]
    tables = [folder] if folder.is_file() else [folder / name for name in tables_beside(folder)]
    for table in tables:
        try:
            if rows := first_rows(table):
                return table, rows
        except AmttsError:
            continue
    return None
