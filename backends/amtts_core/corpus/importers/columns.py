"""Which column of a table is which: by the names in its header and by what its cells hold, never by length alone.

The decision is shown in one line before the work starts; what cannot be decided is asked for in one line.
"""

from __future__ import annotations

import difflib
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.column_names import (
    AUDIO_NAMES,
    LANGUAGES,
    NAMES,
    SPOKEN_NAMES,
    TAG_NAMES,
    TEXT_NAMES,
    has_word_of,
    is_known,
    plain_name,
)
from amtts_core.corpus.importers.column_roles import Columns
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import language_names
from amtts_core.corpus.importers.spans import Spans
from amtts_core.corpus.importers.times import Scale, is_number, is_time, read_time
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, suffix_of
from amtts_core.errors import AmttsError, nearest
from amtts_core.text.script import script_share

_ALIKE = 0.4  # of two texts, one of which is the other's normalized form
_GENDERS = frozenset(("male", "female", "man", "woman", "boy", "girl", "m", "f", "ወንድ", "ሴት"))
_MANNERS = frozenset(
    (
        "happy",
        "sad",
        "angry",
        "neutral",
        "surprise",
        "surprised",
        "fear",
        "fearful",
        "disgust",
        "calm",
        "excited",
    )
    + ("normal", "whisper", "shout", "fast", "slow")
)
_PLACEHOLDERS = frozenset(("", "_", "-", "none", "null", "nan", "n/a"))


class Column:
    """One column's cells in the sample.

    Args:
        cells: of all rows, blank ones too.
        language: code of the language of the text.
    """

    def __init__(self, cells: Sequence[str], language: str) -> None:
        self.cells = cells
        self.filled = [cell for cell in cells if cell.casefold() not in _PLACEHOLDERS]
        self._language = language

    @cached_property
    def script(self) -> float:
        """Share of the letters that the language is written with; 0 where the cells have no letters."""
        return script_share("".join(self.filled), self._language)

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.filled))

    def names_people_of(self, texts: Column) -> bool:
        """True where it has much fewer values than a column of texts, as the names of speakers are."""
        return self.distinct == 1 or 2 * self.distinct <= texts.distinct

    @property
    def is_language(self) -> bool:
        """True for codes of languages throughout."""
        return bool(self.filled) and all(map(_is_language_code, self.filled))

    @property
    def is_split(self) -> bool:
        """True for names of splits throughout."""
        known = {"train", "dev", "test", "val", "valid", "validation", "eval", "training"}
        return bool(self.filled) and all(cell.casefold() in known for cell in self.filled)

    def are_all(self, known: frozenset[str]) -> bool:
        """True where every cell is one of some words."""
        return bool(self.filled) and all(cell.casefold() in known for cell in self.filled)

    @property
    def is_numeric(self) -> bool:
        """True for numbers throughout."""
        return bool(self.filled) and all(map(is_number, self.filled))

    @property
    def is_time(self) -> bool:
        """True for numbers or times of a clock throughout."""
        return bool(self.filled) and all(map(is_time, self.filled))

    @property
    def times(self) -> float:
        """Share of the cells that may be times."""
        return sum(map(is_time, self.filled)) / max(1, len(self.filled))

    @property
    def is_whole(self) -> bool:
        """True for whole numbers throughout."""
        return bool(self.filled) and all(cell.isdigit() for cell in self.filled)

    @property
    def numbers(self) -> list[float]:
        """The cells as numbers, nothing where they are none."""
        return (
            [float(cell.replace(",", ".").rstrip("ms ")) for cell in self.filled] if self.is_numeric else []
        )

    @property
    def counts_rows(self) -> bool:
        """True for whole numbers that follow one another."""
        numbers = self.numbers if self.is_whole else []
        return len(numbers) > 1 and all(b == a + 1 for a, b in zip(numbers, numbers[1:], strict=False))

    def is_numbered(self, locator: AudioLocator) -> bool:
        """True where each cell is another number, and a recording has it as its name."""
        cells = self.filled[:50]
        alone = len(set(self.filled)) == len(self.filled) and self.is_numeric
        return alone and sum(locator.names_a_file(cell, numbers=True) for cell in cells) >= 0.9 * len(cells)

    @property
    def letters(self) -> float:
        """Mean number of letters in a cell."""
        return sum(c.isalpha() for cell in self.filled for c in cell) / max(1, len(self.filled))


def decide_columns(
    rows: Sequence[Sequence[str]],
    names: Sequence[str],
    *,
    where: str,
    locator: AudioLocator,
    language: str,
    said: Mapping[str, str] | None = None,
) -> Columns:
    """The roles of the columns.

    Args:
        rows: the first rows, without the header, all of the same length.
        names: of the header; empty where the table has none.
        where: the table, for people.
        locator: finds recordings.
        language: code of the language of the text.
        said: role -> number or name of a column, as a person says.

    Raises:
        AmttsError: a role that is needed cannot be decided, or what was said does not fit.
    """
    count = len(names) or len(rows[0])
    columns = [
        Column([row[number] for row in rows if number < len(row)], language) for number in range(count)
    ]
    found = _Decision(columns, names, where, locator, language)
    found.apply_given(said or {})
    if names:
        found.by_name()
    found.by_content()
    return Columns(count, found.roles, found.tags, names, found.notes())


class _Decision:
    def __init__(
        self, columns: list[Column], names: Sequence[str], where: str, locator: AudioLocator, language: str
    ) -> None:
        self._columns, self._names, self._where = columns, names, where
        self._locator, self._language = locator, language
        self.roles: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self._reasons: dict[int, str] = {}
        self._said_text = False

    def _free(self) -> list[int]:
        taken = {*self.roles.values(), *self.tags.values()}
        blank = not any(column.filled for column in self._columns)  # a header without rows
        return [n for n in range(len(self._columns)) if n not in taken and (blank or self._columns[n].filled)]

    def _hits(self, number: int) -> float:
        cells = self._columns[number].filled[:50]
        return sum(map(self._locator.names_a_file, cells)) / len(cells) if cells else 0.0

    def apply_given(self, said: Mapping[str, str]) -> None:
        """Roles that a person gives to columns."""
        plain = [plain_name(name) for name in self._names]
        self._said_text = "text" in said
        for role, column in said.items():
            if column.isdigit() and 1 <= int(column) <= len(self._columns):
                self.roles[role] = int(column) - 1
            elif column in self._names:
                self.roles[role] = list(self._names).index(column)
            elif plain_name(column) in plain:
                self.roles[role] = plain.index(plain_name(column))
            else:
                known = ", ".join(self._names) or "none, the table has no header"
                raise AmttsError(
                    f"--columns {role}={column}: {self._where} has {len(self._columns)} columns, with the names: "
                    f"{known}{nearest(column, self._names)}",
                    remedy=f"Give a number from 1 to {len(self._columns)} or one of the names",
                )

    def by_name(self) -> None:
        """Roles by the names of the header; where several names fit, what the cells hold decides."""
        plain = [plain_name(name) for name in self._names]
        for role, known in NAMES.items():
            free = set(self._free())
            fitting = [n for name in known for n, own in enumerate(plain) if own == name and n in free]
            if not fitting:
                fitting = [n for n in sorted(free) if has_word_of(role, self._names[n])]
            if role not in self.roles and (chosen := self._choose(role, fitting)) is not None:
                self.roles[role] = chosen
        for tag in TAG_NAMES:
            if tag in plain and plain.index(tag) in self._free():
                self.tags[tag] = plain.index(tag)

    def _choose(self, role: str, fitting: list[int]) -> int | None:
        columns = self._columns
        if role == "audio" and fitting:
            return max(fitting, key=lambda n: (self._hits(n), -fitting.index(n)))
        if role == "text":
            return next((n for n in fitting if columns[n].script >= 0.5), fitting[0] if fitting else None)
        if role == "spoken":
            for number in fitting:
                if columns[number].script >= 0.5 or "text" not in self.roles:
                    return number
                self._reasons[number] = "in another script"
            return None
        if role in ("start", "end", "duration"):
            return next((n for n in fitting if columns[n].times >= 0.5), None)
        if role == "language":
            return next((n for n in fitting if columns[n].is_language or columns[n].distinct <= 5), None)
        return fitting[0] if fitting else None

    def by_content(self) -> None:
        """What the names leave open, by what the cells hold.

        Raises:
            AmttsError: it cannot be told.
        """
        if "audio" not in self.roles:
            self.roles["audio"] = self._audio()
        if "text" not in self.roles and "spoken" in self.roles:
            self.roles["text"] = self.roles.pop("spoken")
        self._times()
        if "text" in self.roles:
            self._own_language()
            return
        if not self._names:
            self._assign_plain_ones()
        self._text_and_speaker()

    def _audio(self) -> int:
        free = self._free()
        hits = {n: self._hits(n) for n in free}
        if hits and max(hits.values()) > 0:
            return max(hits, key=lambda n: (hits[n], self._is_path_column(n)))
        numbered = [n for n in free if self._columns[n].is_numbered(self._locator)]
        if len(numbered) == 1:
            return numbered[0]
        likely = next(
            (n for n in free if any(map(_is_path, self._columns[n].filled))), free[0] if free else 0
        )
        cell = next(iter(self._columns[likely].filled), "")
        rows = max((len(column.cells) for column in self._columns), default=0)
        if self._names and not any(map(_is_path, self._columns[likely].filled)):
            raise AmttsError(
                f"{self._where}: the header {'|'.join(self._names)!r} names no audio column; known names: "
                f"{', '.join(AUDIO_NAMES)}",
                remedy=_remedy(self._columns),
            )
        found = self._locator.find(cell)
        why = found.reason if isinstance(found, Finding) else ""
        raise AmttsError(
            f"{self._where}: no column of the first {rows} lines names an audio file that exists under "
            f"{self._locator.root}; {cell!r}: {why}",
            remedy=""
            if "--audio-root" in why
            else "Name the folder with the recordings: --audio-root FOLDER",
        )

    def _own_language(self) -> None:
        """Takes the one column of texts of the language where the column that is called the text holds another."""
        text = self._columns[self.roles["text"]]
        if self._said_text or "spoken" in self.roles or not text.filled or text.script >= 0.5:
            return
        own = [n for n in self._free() if self._columns[n].script >= 0.5]
        if len(own) != 1:
            return
        other = self._columns[own[0]]
        if other.distinct >= 0.8 * text.distinct and other.letters >= 0.4 * text.letters:
            self._reasons[self.roles["text"]] = "in another script"
            self.roles["text"] = own[0]

    def _times(self) -> None:
        """Columns under other names, or under none, whose numbers cut the recordings that the rows share."""
        if "start" in self.roles or "end" in self.roles:
            return
        spans = Spans(self._columns[self.roles["audio"]].cells)
        free = [n for n in self._free() if self._columns[n].is_time and not self._columns[n].counts_rows]
        lengths = [*free, *([self.roles["duration"]] if "duration" in self.roles else [])]
        for left in free:
            for right in free:
                if left != right and spans.follow(self._columns[left].cells, self._columns[right].cells):
                    self.roles |= {"start": left, "end": right}
                    return
        for left in free:
            for right in lengths:
                cells = self._columns[left].cells, self._columns[right].cells
                if left != right and spans.follow(*cells, lengths=True):
                    self.roles |= {"start": left, "duration": right}
                    return

    def _assign_plain_ones(self) -> None:
        """Columns without a name whose cells can only be one thing."""
        for number in self._free():
            column = self._columns[number]
            if column.is_language and "language" not in self.roles:
                self.roles["language"] = number
            elif column.is_split:
                self._reasons[number] = "splits; amtts makes its own"
            elif column.are_all(_MANNERS):
                self._reasons[number] = "manners of speaking"
            elif column.counts_rows:
                self._reasons[number] = "numbers the rows"
        numeric = [n for n in self._free() if self._columns[n].is_time and n not in self._reasons]
        for left, right in zip(numeric, numeric[1:], strict=False):
            if self._are_times(left, right):
                self.roles |= {"start": left, "end": right}
                return

    def _are_times(self, left: int, right: int) -> bool:
        first, second = self._columns[left], self._columns[right]
        if len(first.filled) != len(second.filled):
            return False
        pairs = [
            (read_time(a, Scale()), read_time(b, Scale()))
            for a, b in zip(first.filled, second.filled, strict=True)
        ]
        later = all(isinstance(a, float) and isinstance(b, float) and a < b for a, b in pairs)
        return later and (len({*first.filled, *second.filled}) > len(first.filled) or not first.is_whole)

    def _text_and_speaker(self) -> None:
        free = [n for n in self._free() if n not in self._reasons]
        own = [n for n in free if self._columns[n].script >= 0.5]
        called = [
            n for n in own if self._names and plain_name(self._names[n]) in language_names(self._language)
        ]
        if len(own) == 1 or len(called) == 1:
            self.roles["text"] = (called or own)[0]
        elif len(own) == 2:
            self._two_texts(*own)
        elif len(own) > 2:
            self._three_texts(own)
        else:
            lettered = [n for n in free if self._columns[n].letters > 0 and not self._is_path_column(n)]
            if not lettered:
                self._no_text()
            self.roles["text"] = max(
                lettered, key=lambda n: (self._columns[n].distinct, self._columns[n].letters)
            )
        if not self._names:
            self._speaker([n for n in free if n not in self.roles.values()])

    def _is_path_column(self, number: int) -> bool:
        return all(map(_is_path, self._columns[number].filled))

    def _two_texts(self, left: int, right: int) -> None:
        """Raw and normalized text, or a text and the names of those who say it."""
        first, second = self._columns[left], self._columns[right]
        if _alike(first.cells, second.cells) >= _ALIKE:
            self.roles |= {"text": left, "spoken": right}
            return
        if max(first.distinct, second.distinct) > 1:
            for speaker, text in ((left, right), (right, left)):
                if self._columns[speaker].names_people_of(self._columns[text]):
                    self.roles |= {"text": text, "speaker": speaker}
                    return
        raise AmttsError(
            f"{self._where}: columns {left + 1} and {right + 1} both hold text of the language "
            f"({first.filled[0][:40]!r} and {second.filled[0][:40]!r}), and which one is spoken cannot be told",
            remedy=f"Say it: --columns audio={self.roles['audio'] + 1},text={left + 1},speaker={right + 1}, or write "
            "a header: audio_file|text|speaker_name",
        )

    def _three_texts(self, own: list[int]) -> None:
        fewest, *rest = sorted(own, key=lambda n: self._columns[n].distinct)
        if len(rest) == 2 and all(self._columns[fewest].names_people_of(self._columns[n]) for n in rest):
            self._two_texts(*sorted(rest))
            self.roles.setdefault("speaker", fewest)
            return
        shown = ", ".join(f"{n + 1} ({self._columns[n].filled[0][:30]!r})" for n in own)
        raise AmttsError(
            f"{self._where}: several columns hold text of the language, and which is spoken cannot be told: {shown}",
            remedy=f"Say it: --columns audio={self.roles['audio'] + 1},text={own[0] + 1}, or write a header: "
            "audio_file|text|speaker_name",
        )

    def _no_text(self) -> None:
        if self._names:
            raise AmttsError(
                f"{self._where}: the header {'|'.join(self._names)!r} names no text column; known names: "
                f"{', '.join(TEXT_NAMES)}",
                remedy=_remedy(self._columns),
            )
        raise AmttsError(
            f"{self._where}: no column beside the audio holds text", remedy=_remedy(self._columns)
        )

    def _speaker(self, free: list[int]) -> None:
        texts = self._columns[self.roles["text"]]
        named = [n for n in free if self._may_name_speakers(self._columns[n]) and not self._is_path_column(n)]
        named = [n for n in named if self._columns[n].names_people_of(texts)]
        named = [n for n in named if not self._columns[n].are_all(_GENDERS)] or named
        if "speaker" in self.roles or not named:
            return
        several = [n for n in named if self._columns[n].distinct > 1] or named[:1]
        lettered = [n for n in several if not self._columns[n].is_whole] or several
        if len(lettered) == 1:
            self.roles["speaker"] = lettered[0]
            return
        shown = ", ".join(f"{n + 1} ({self._columns[n].filled[0][:30]!r})" for n in lettered)
        raise AmttsError(
            f"{self._where}: several columns may name the speaker: {shown}",
            remedy=f"Say it: --columns audio={self.roles['audio'] + 1},text={self.roles['text'] + 1},"
            f"speaker={lettered[0] + 1}, or write a header: audio_file|text|speaker_name",
        )

    def _may_name_speakers(self, column: Column) -> bool:
        return column.is_whole or (column.letters > 0 and not column.is_numeric)

    def notes(self) -> dict[int, str]:
        """What is worth telling of a column."""
        out = dict(self._reasons)
        for number, column in enumerate(self._columns):
            if not column.filled:
                out[number] = "empty"
            elif number == self.roles.get("speaker"):
                out[number] = f"{column.distinct} name{'s' if column.distinct != 1 else ''}"
            elif number == self.roles.get("text") and column.script < 0.5:
                out[number] = "in another script"
            elif (
                number not in out
                and number not in self.roles.values()
                and column.letters > 2
                and column.script < 0.5
            ):
                out[number] = (
                    "in another script" if not self._names and not self._is_path_column(number) else ""
                )
        return {number: note for number, note in out.items() if note}


def _alike(left: Sequence[str], right: Sequence[str]) -> float:
    """How alike the texts of two columns are, row by row: 1 for equal ones."""
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a and b][:40]
    if not pairs:
        return 1.0
    return statistics.mean(difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in pairs)


def _is_language_code(cell: str) -> bool:
    code, _, region = cell.strip().casefold().replace("_", "-").partition("-")
    return code in LANGUAGES and (not region or (region.isalpha() and len(region) in (2, 4)))


def _is_path(cell: str) -> bool:
    return suffix_of(cell) in SOUND_SUFFIXES


def _remedy(columns: Sequence[Column]) -> str:
    return (
        "Say which is which: --columns audio=1,text=2 (numbers or names), or write a header: audio_file|text"
        if len(columns) > 1
        else "Write it as audio_file|text, one clip a line"
    )


def looks_like_header(first: Sequence[str], others: Sequence[Sequence[str]], locator: AudioLocator) -> bool:
    """True where the first row of a table names its columns."""
    plain = set(map(plain_name, first))
    if plain & set(AUDIO_NAMES) and plain & {*TEXT_NAMES, *SPOKEN_NAMES}:
        return True
    if any(map(locator.names_a_file, first)):
        return False  # a clip whose text happens to be a column's name
    known = sum(map(is_known, first))
    if known >= 2 or (known and len(first) <= 2):
        return True
    typical = Counter(n for row in others[:50] for n, cell in enumerate(row) if locator.names_a_file(cell))
    if not typical:
        return bool(known)
    audio = typical.most_common(1)[0][0]
    cell = first[audio] if audio < len(first) else ""
    telling = [row[audio] for row in others[:50] if audio < len(row)]
    numbered = all(_is_path(other) or any(map(str.isdigit, other)) for other in telling)
    return bool(known) or (numbered and bool(cell) and not _is_path(cell) and not any(map(str.isdigit, cell)))
