"""Rows of parquet files as clips, with pyarrow alone. A file may lie about itself, so memory is bounded by batches.

Audio is a struct of `bytes` and `path`, plain bytes, or a path; text and speaker are found by the usual names. Runs in
a process of its own (see `hf_parquet`): pyarrow ends its process where a file is damaged in certain places.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault
from amtts_core.corpus.importers.json_rows import text_of
from amtts_core.corpus.importers.layout import SPEAKER_NAMES, SPOKEN_NAMES, TEXT_NAMES
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.errors import AmttsError

LARGEST_GROUP = 2 << 30
"""Bytes of a row group, unpacked; a larger one is refused."""
LARGEST_AUDIO = 64 << 20
"""Bytes of one audio file; 300 s of 48 kHz stereo wav have 55 MiB."""
_HIGHEST_RATIO = 200  # unpacked to packed; audio hardly packs, a bomb packs a thousandfold
_HARMLESS = 64 << 20
_MEMORY = 2 * LARGEST_GROUP  # bytes that the process may have
_BATCH = 16 << 20  # bytes that a batch should have
_AUDIO_NAMES = ("audio", "file", "path", "wav", "audio_file", "speech", "audio_path")
_TAGS = ("gender", "locale", "language", "age", "accent", "licence", "license")


def read_parquet(folder: Path, name: str) -> Iterator[Clip | Fault]:
    """Every row of the file `name` under `folder`, in order; a row group that is refused is one entry.

    Raises:
        AmttsError: it has no column of audio or of text.
    """
    import pyarrow
    import pyarrow.parquet

    locator = AudioLocator(folder)
    path = locator.find(name)
    if isinstance(path, Finding):
        yield Fault(where=name, finding=path, source=name)
        return
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            yield from _file_entries(file, path, name, locator)
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:
        reason = f"cannot be read as parquet: {str(error).splitlines()[0] if str(error) else 'damaged'}"
        yield Fault(where=name, finding=Finding(rule="unreadable", reason=reason), source=name)


def _file_entries(file: Any, path: Path, name: str, locator: AudioLocator) -> Iterator[Clip | Fault]:
    names = list(file.schema_arrow.names)
    audio = next((column for column in _AUDIO_NAMES if column in names), None)
    text = next((column for column in (*TEXT_NAMES, *SPOKEN_NAMES) if column in names), None)
    if audio is None or text is None:
        lacking, known = ("audio", _AUDIO_NAMES) if audio is None else ("text", TEXT_NAMES)
        raise AmttsError(
            f"{name} has no {lacking} column: it has {', '.join(names[:20])}; known names: {', '.join(known)}"
        )
    wanted = {audio, text, *(n for n in (*SPEAKER_NAMES, *SPOKEN_NAMES, *_TAGS, "id") if n in names)}
    columns = [column for column in names if column in wanted]
    first = 0
    for group in range(file.num_row_groups):
        rows, size, packed = _extent(file.metadata.row_group(group), columns)
        where = f"{name}:{first + 1}-{first + rows}"
        if size > LARGEST_GROUP or (size > _HARMLESS and size > _HIGHEST_RATIO * packed):
            reason = f"row group {group} of {rows} rows would unpack from {packed} to {size} bytes"
            yield Fault(where=where, finding=Finding(rule="too-large", reason=reason), source=name)
            first += rows
            continue
        # A dictionary may repeat its largest value in every row, so no value is taken to be smaller than the group.
        repeats = any(
            file.metadata.row_group(group).column(n).has_dictionary_page
            for n in range(file.metadata.num_columns)
            if file.metadata.row_group(group).column(n).path_in_schema.split(".")[0] == audio
        )
        average = size if repeats else math.ceil(size / max(1, rows))
        batch = max(1, min(256, _BATCH // max(1, average)))
        for table in file.iter_batches(batch, row_groups=[group], columns=columns, use_threads=False):
            for number in range(table.num_rows):
                first += 1
                row = {column: table.column(column)[number] for column in columns}
                yield _entry(row, audio, text, f"{name}:{first}", path, locator)


def _extent(group: Any, columns: list[str]) -> tuple[int, int, int]:
    """Rows of a row group, and the bytes of the wanted columns unpacked and packed."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    own = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns]
    unpacked = sum(max(0, chunk.total_uncompressed_size) for chunk in own)
    return group.num_rows, unpacked, max(1, sum(chunk.total_compressed_size for chunk in own))


def _entry(
    scalars: Mapping[str, Any], audio: str, text: str, where: str, path: Path, locator: AudioLocator
) -> Clip | Fault:
    row = {name: scalar.as_py() for name, scalar in scalars.items() if name != audio}
    row = {name: str(value) if type(value) is int else value for name, value in row.items()}
    said, speaker = text_of(row, text), text_of(row, *SPEAKER_NAMES)
    data, named, finding = _audio(scalars[audio])
    inside = locator.relative(path)
    label = named or text_of(row, "id") or f"{Path(inside).stem}-{where.rsplit(':', 1)[-1].zfill(6)}"
    common: dict[str, Any] = {"where": where, "text": said, "speaker": speaker}
    if finding is not None:
        return Fault(finding=finding, source=label, **common)
    common["tags"] = {name: value for name in _TAGS if (value := text_of(row, name))}
    common["spoken"] = text_of(row, *SPOKEN_NAMES) if text not in SPOKEN_NAMES else ""
    if data:
        stem = os.path.splitext(label.replace("\\", "/").rsplit("/", 1)[-1])[0] if named else label
        return Clip(path=path, source=f"{inside}:{label}", data=data, name=stem, **common)
    found = locator.find(named)
    if isinstance(found, Finding):
        return Fault(finding=found, source=label, **{k: common[k] for k in ("where", "text", "speaker")})
    return Clip(path=found, source=locator.relative(found), **common)


def _audio(scalar: Any) -> tuple[bytes, str, Finding | None]:
    """Content and name of a row's audio; the content is copied only after its size is known."""
    import pyarrow

    scalar = scalar.value if isinstance(scalar, pyarrow.DictionaryScalar) else scalar
    named, content = "", scalar
    if isinstance(scalar, pyarrow.StructScalar):
        fields = {field.name for field in scalar.type}
        content = scalar["bytes"] if "bytes" in fields and scalar.is_valid else None
        if "path" in fields and scalar.is_valid:
            named = str(scalar["path"].as_py() or "")
    elif pyarrow.types.is_string(scalar.type) or pyarrow.types.is_large_string(scalar.type):
        return b"", str(scalar.as_py() or ""), None
    buffer = content.as_buffer() if content is not None and hasattr(content, "as_buffer") else None
    if buffer is None:
        lacking = Finding(rule="missing-file", reason="the row has neither audio bytes nor a path")
        return b"", named, None if named else lacking
    if buffer.size > LARGEST_AUDIO:
        reason = f"the audio has {buffer.size} bytes, at most {LARGEST_AUDIO} are read"
        return (
            b"",
            named,
            Finding(rule="too-large", reason=reason, value=buffer.size, threshold=LARGEST_AUDIO),
        )
    if not buffer.size:
        return b"", named, Finding(rule="unreadable", reason="is empty (0 bytes)")
    return buffer.to_pybytes(), named, None


def main(folder: str, names: list[str]) -> None:
    """Writes to standard output, pickled: a file's number with None, and then with each entry; an error ends it."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints, prints elsewhere
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))

    def send(number: int, what: Clip | Fault | AmttsError | None) -> None:
        pickle.dump((number, what), stream, protocol=pickle.HIGHEST_PROTOCOL)
        stream.flush()  # what is read is not lost with the process

    with stream:
        for number, name in enumerate(names):
            send(number, None)
            try:
                for entry in read_parquet(Path(folder), name):
                    send(number, entry)
            except AmttsError as error:
                send(number, error)
                return
