"""What is known of the speakers: license and consent, and anything else, from a `speakers.tsv` and into one."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text

SPEAKERS = "speakers.tsv"
_NAMES = ("speaker", "speaker_id", "speaker_name", "client_id", "name", "id")
_SPELLINGS = {"licence": "license"}
_COUNTED = ("utterances", "seconds")
_LARGEST = 64 << 20  # bytes


@dataclass(frozen=True)
class SpeakerFacts:
    """Facts by speaker.

    Attributes:
        columns: names of the facts, in the order of the file.
        rows: speaker -> fact -> value.
    """

    columns: tuple[str, ...] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, speaker: str) -> Mapping[str, str]:
        """What is known of a speaker."""
        return self.rows.get(speaker, {})

    def joined(self, other: SpeakerFacts) -> SpeakerFacts:
        """Both; where they differ about a speaker, the other one counts."""
        columns = tuple(dict.fromkeys((*self.columns, *other.columns)))
        rows = {name: {**self.of(name), **other.of(name)} for name in {**self.rows, **other.rows}}
        return SpeakerFacts(columns, rows)

    def renamed(self, names: Mapping[str, str]) -> SpeakerFacts:
        """The facts under other names of the speakers; those without a new name are left out."""
        return SpeakerFacts(
            self.columns, {names[name]: row for name, row in self.rows.items() if name in names}
        )


def find_speakers(sources: Iterable[Path]) -> SpeakerFacts:
    """The `speakers.tsv` of all sources: in a folder, or beside a file.

    Raises:
        AmttsError: one cannot be read.
    """
    found = SpeakerFacts()
    for source in sources:
        path = (source if source.is_dir() else source.parent) / SPEAKERS
        if path.is_file():
            found = found.joined(read_speakers(path))
    return found


def read_speakers(path: Path) -> SpeakerFacts:
    """The facts of a table with a header, one speaker a line, separated by tabs, commas or semicolons.

    Raises:
        AmttsError: it cannot be read, or no column names the speakers.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise AmttsError(f"{path} has more than {_LARGEST >> 20} MiB")
        lines = decode_text(path.read_bytes(), source=str(path)).splitlines()
    except OSError as error:
        raise AmttsError(f"cannot read {path}: {error.strerror}") from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise AmttsError(f"{path} is empty", remedy="Write a header: speaker<TAB>license<TAB>consent")
    separator = max("\t,;|", key=lines[0].count)
    try:
        header, *rows = csv.reader(lines, delimiter=separator)
    except csv.Error as error:
        raise AmttsError(f"{path} is no table: {error}") from None
    names = [_SPELLINGS.get(name.strip().casefold(), name.strip().casefold()) for name in header]
    key = next((names.index(name) for name in _NAMES if name in names), None)
    if key is None:
        raise AmttsError(
            f"{path}: no column names the speakers; it has {', '.join(names)}",
            remedy=f"Call it {_NAMES[0]}, and the others license, consent, gender, age, ...",
        )
    columns = [name for n, name in enumerate(names) if n != key and name and name not in _COUNTED]
    facts = {
        row[key].strip(): {
            names[n]: cell.strip()
            for n, cell in enumerate(row[: len(names)])
            if names[n] in columns and cell.strip()
        }
        for row in rows
        if len(row) > key
    }
    return SpeakerFacts(tuple(columns), facts)


def speakers_table(counts: Mapping[str, tuple[int, float]], facts: SpeakerFacts) -> str:
    """The content of a `speakers.tsv`: how much each speaker says, and what is known of them.

    Args:
        counts: speaker -> utterances and seconds.
        facts: of the speakers, others too.
    """
    columns = tuple(dict.fromkeys(("license", "consent", *facts.columns)))
    lines = ["\t".join(("speaker", *_COUNTED, *columns))]
    for speaker in sorted(counts):
        utterances, seconds = counts[speaker]
        row = facts.of(speaker)
        cells = (speaker, str(utterances), f"{seconds:.3f}", *(row.get(column, "") for column in columns))
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    return "\n".join(lines) + "\n"
