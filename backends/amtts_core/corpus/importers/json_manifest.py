"""Manifests in JSON: NeMo's, those of other tools with other keys, lists, Lhotse cuts, exports of Label Studio."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, Reading, ReadOptions
from amtts_core.corpus.importers.column_names import AUDIO_NAMES, TEXT_NAMES, plain_name, unit_in_name
from amtts_core.corpus.importers.column_roles import Columns
from amtts_core.corpus.importers.columns import decide_columns
from amtts_core.corpus.importers.foreign_json import flatten, kind_of_rows
from amtts_core.corpus.importers.json_rows import is_json_name, read_objects
from amtts_core.corpus.importers.lengths import MEASURED, length_scale, measured, without_origin
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import Row, RowReader
from amtts_core.corpus.importers.table import SAMPLE
from amtts_core.corpus.importers.times import Scale, find_scale, read_time
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, first_under
from amtts_core.errors import AmttsError

_NO_TAGS = frozenset(
    ("split", "sample_rate", "sampling_rate", "lang", "audio_bytes", "id", "created_at", "updated_at")
)
_NO_TIMES = ("", "0", "0.0")
_KIND_NAMES = {
    "lhotse-cuts": "Lhotse cuts",
    "label-studio": "an export of Label Studio",
    "messages": "dialogs about recordings",
    "plain": "JSON",
}


@dataclass(frozen=True)
class JsonLayout:
    """How the objects of a file are to be read.

    Attributes:
        kind: of the tool that wrote them.
        keys: of all objects of the sample, in order.
        columns: the roles of the keys.
        scale: of the times.
        lengths: of the durations, where these are the lengths of whole recordings.
        timed: some rows are parts of their recordings.
        above: the recordings are named from the folder above the file's.
    """

    kind: str
    keys: tuple[str, ...]
    columns: Columns
    scale: Scale
    timed: bool
    above: bool
    lengths: Scale | None = None

    def describe(self) -> str:
        """The roles of the keys, in one line."""
        roles = [
            f"{self.keys[column]} is the {'normalized text' if role == 'spoken' else role}"
            for role, column in self.columns.roles.items()
        ]
        used = {*self.columns.roles.values()}
        unused = [key for number, key in enumerate(self.keys) if number not in used and key not in _NO_TAGS]
        rest = f"; other keys: {', '.join(unused[:12])}" if unused else ""
        return f"{_KIND_NAMES[self.kind]}: {', '.join(roles)}{rest}"


def detect_json(path: Path, options: ReadOptions = ReadOptions()) -> JsonLayout:
    """What the keys of a JSON file mean.

    Raises:
        AmttsError: it is no JSON of recordings and texts.
    """
    sample = [row for _, row in itertools.islice(read_objects(path), SAMPLE) if isinstance(row, dict)]
    if not sample:
        raise AmttsError(f"{path} holds no JSON object", remedy='Expected: {"audio": "a.wav", "text": "…"}')
    kind = kind_of_rows(sample)
    flat = [row for object in sample for row in flatten(kind, object) if isinstance(row, dict)]
    keys = tuple(dict.fromkeys(key for row in flat for key, value in row.items() if _is_plain(value)))
    if kind == "plain":
        _refuse_without_recordings(path, keys, options)
    root = path.parent
    above = first_under(root, SOUND_SUFFIXES) is None
    locator = options.locator(root, above=above)
    cells = [[_cell(row.get(key)) for key in keys] for row in flat]
    columns = decide_columns(
        cells, keys, where=str(path), locator=locator, language=options.language, said=options.columns
    )
    columns = without_origin(columns, cells, locator)
    timed = any(
        row[columns.roles[role]] not in _NO_TIMES
        for row in cells
        for role in ("start", "end")
        if role in columns.roles
    )
    scale = _scale(columns, keys, flat, locator, path) if timed else Scale()
    lengths = None if timed else length_scale(columns, cells, locator)
    return JsonLayout(kind, keys, columns, scale, timed, above, lengths)


def _refuse_without_recordings(path: Path, keys: Sequence[str], options: ReadOptions) -> None:
    plain = {plain_name(key) for key in keys}
    if options.columns or (plain & set(AUDIO_NAMES) and plain & set(TEXT_NAMES)) or len(plain) == 2:
        return
    if not plain & {*AUDIO_NAMES, *TEXT_NAMES}:
        raise AmttsError(
            f"{path}: JSON whose objects have the keys {', '.join(keys[:12])}; known for the audio: "
            f"{', '.join(AUDIO_NAMES[:12])}; known for the text: {', '.join(TEXT_NAMES[:8])}",
            remedy="Say which is which: --columns audio=KEY,text=KEY",
        )


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _cell(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    return str(value).strip() if _is_plain(value) else ""


def _scale(
    columns: Columns, keys: Sequence[str], rows: Sequence[dict[str, Any]], locator: AudioLocator, path: Path
) -> Scale:
    timed = [keys[columns.roles[role]] for role in ("start", "end") if role in columns.roles]
    unit = next(filter(None, map(unit_in_name, timed)), "")
    numbers: list[tuple[float, float | None, int | None]] = []
    for count, row in enumerate(rows):
        name = _cell(row.get(keys[columns.roles["audio"]]))
        length, rate = measured(locator, name) if count < MEASURED else (None, None)
        times = (read_time(row.get(key), Scale()) for key in timed)
        numbers += [(time, length, rate) for time in times if isinstance(time, float)]
    scale = find_scale(unit, numbers)
    if scale is None:
        raise AmttsError(
            f"{path}: whether {' and '.join(timed)} are in seconds, milliseconds or samples cannot be told",
            remedy="Name them by their unit, such as start_ms and end_ms",
        )
    return scale


def open_manifest(path: Path, options: ReadOptions = ReadOptions()) -> Reading:
    """A manifest whose paths are relative to its folder."""
    layout = detect_json(path, options)
    locator = options.locator(path.parent, above=layout.above)
    warnings: list[str] = []
    entries = _entries(path, layout, locator, options, warnings)
    summary = f"{path.name}: {layout.describe()}"
    return Reading(locator.root, entries, None, summary, warnings, table=path, columns=layout.columns)


def _entries(
    path: Path, layout: JsonLayout, locator: AudioLocator, options: ReadOptions, warnings: list[str]
) -> Iterator[Clip | Fault]:
    reader = RowReader(
        locator=locator,
        language=options.language,
        scale=layout.scale,
        lengths=layout.lengths if options.fit == "reject" else None,
        timed=layout.timed,
        from_start=True,
        whole=layout.kind != "plain",
        channel=options.channel,
    )
    for number, row in read_objects(path):
        where = f"{path.name}:{number}"
        flat: list[dict[str, Any] | str] = [row] if isinstance(row, str) else list(flatten(layout.kind, row))
        for part, fields in enumerate(flat, 1):
            place = f"{where}.{part}" if len(flat) > 1 else where
            if isinstance(fields, str):
                finding = Finding(rule="malformed-line", reason=f"the row {fields}")
                yield Fault(where=place, finding=finding)
            else:
                yield reader.read(_row(fields, layout), place)
    warnings.extend(locator.notes())


def _row(fields: dict[str, Any], layout: JsonLayout) -> Row:
    keys = {role: layout.keys[column] for role, column in layout.columns.roles.items()}
    values = {role: fields.get(key) for role, key in keys.items()}
    times: dict[str, Any] = {r: values.pop(r) for r in ("start", "end", "duration") if r in values}
    texts = {role: _cell(value) for role, value in values.items() if role != "split"}
    used = {*keys.values()} - ({keys["split"]} if "split" in keys else set())
    name = texts.pop("name", "") or _cell(fields.get("id") if "id" not in used else "")
    tags = {
        "origin" if key == "source" else key: value
        for key, value in fields.items()
        if key not in used and plain_name(key) not in _NO_TAGS and isinstance(value, str) and value
    }
    return Row(**texts, **times, name=name, tags=tags)


def manifests_in(source: Path) -> list[Path]:
    """The JSON files of a folder, or the file itself where it is one."""
    if source.is_dir():
        return [source / name for name in sorted(os.listdir(source)) if is_json_name(source / name)]
    return [source] if is_json_name(source) else []
