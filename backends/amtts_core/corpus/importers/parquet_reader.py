"""Rows of parquet and arrow files as clips, with pyarrow alone. A file may lie about itself, so memory is bounded.

Runs in a process of its own (see `hf_parquet`): pyarrow ends its process where a file is damaged in certain places.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, ReadOptions
from amtts_core.corpus.importers.columnar import RowMaker, Schema, read_schema
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.errors import AmttsError

LARGEST_GROUP = 2 << 30
"""Bytes of a row group, unpacked; a larger one is refused."""
_HIGHEST_RATIO = 200  # unpacked to packed; audio hardly packs, a bomb packs a thousandfold
_HARMLESS = 64 << 20
_MEMORY = 2 * LARGEST_GROUP  # bytes that the process may have
_BATCH = 16 << 20  # bytes that a batch should have
_PEEKED = 50  # rows


def read_parquet(
    folder: Path, name: str, options: ReadOptions = ReadOptions(), *, on_schema: Any = None
) -> Iterator[Clip | Fault]:
    """Every row of the file `name` under `folder`, in order; a row group that is refused is one entry.

    Args:
        folder: the corpus folder.
        name: of a parquet file, or of an arrow file as `save_to_disk` of Hugging Face datasets writes it.
        options: what a person says.
        on_schema: called with how the columns are understood.

    Raises:
        AmttsError: it has no column of audio or of text.
    """
    import pyarrow
    import pyarrow.parquet

    locator = options.locator(folder)
    path = locator.find(name)
    if isinstance(path, Finding):
        yield Fault(where=name, finding=path, source=name)
        return
    kind = "arrow" if name.endswith(".arrow") else "parquet"
    try:
        if kind == "arrow":
            yield from _arrow_entries(path, name, locator, options, on_schema)
            return
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            yield from _file_entries(file, path, name, locator, options, on_schema)
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError):
        yield Fault(
            where=name,
            finding=Finding(rule="unreadable", reason=f"cannot be read as {kind}: it is damaged"),
            source=name,
        )


def _file_entries(
    file: Any, path: Path, name: str, locator: AudioLocator, options: ReadOptions, on_schema: Any
) -> Iterator[Clip | Fault]:
    def peek(columns: list[str]) -> Mapping[str, list[str]]:
        if not columns or not file.num_row_groups:
            return {}
        table = next(file.iter_batches(_PEEKED, row_groups=[0], columns=columns, use_threads=False), None)
        return {} if table is None else _strings(table, columns)

    kinds = {field.name: field.type for field in file.schema_arrow}
    schema = read_schema(kinds, name, peek, options)
    if on_schema is not None:
        on_schema(f"{name}: {schema.describe()}")
    maker = RowMaker(schema, path, locator, options)
    columns, audio = [column for column in kinds if column in schema.columns], schema.roles["audio"]
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
            yield from _rows(table, schema, maker, name, first)
            first += table.num_rows


def _arrow_entries(
    path: Path, name: str, locator: AudioLocator, options: ReadOptions, on_schema: Any
) -> Iterator[Clip | Fault]:
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        batches = _record_batches(source)
        head = next(batches, None)
        if head is None:
            return
        kinds = {field.name: field.type for field in head.schema}
        schema = read_schema(kinds, name, lambda columns: _strings(head.slice(0, _PEEKED), columns), options)
        if on_schema is not None:
            on_schema(f"{name}: {schema.describe()}")
        maker, first = RowMaker(schema, path, locator, options), 0
        batch = head
        while batch is not None:
            yield from _rows(batch, schema, maker, name, first)
            first += batch.num_rows
            batch = next(batches, None)


def _record_batches(source: Any) -> Iterator[Any]:
    """The batches of a stream, as `save_to_disk` writes it, or of a file."""
    import pyarrow

    if source.read(6) == b"ARROW1":
        reader = pyarrow.ipc.open_file(source)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
        return
    source.seek(0)
    yield from pyarrow.ipc.open_stream(source)


def _rows(table: Any, schema: Schema, maker: RowMaker, name: str, first: int) -> Iterator[Clip | Fault]:
    columns = {column: table.column(column) for column in schema.columns}
    for number in range(table.num_rows):
        row = {column: values[number] for column, values in columns.items()}
        yield maker.entry(row, f"{name}:{first + number + 1}")


def _strings(table: Any, columns: Sequence[str]) -> Mapping[str, list[str]]:
    return {c: [value for value in table.column(c).to_pylist() if isinstance(value, str)] for c in columns}


def _extent(group: Any, columns: list[str]) -> tuple[int, int, int]:
    """Rows of a row group, and the bytes of the wanted columns unpacked and packed."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    own = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns]
    unpacked = sum(max(0, chunk.total_uncompressed_size) for chunk in own)
    return group.num_rows, unpacked, max(1, sum(chunk.total_compressed_size for chunk in own))


def main(folder: str, job: Mapping[str, Any]) -> None:
    """Writes to standard output, pickled: a file's number with None, and then with each entry; an error ends it.

    Args:
        folder: the corpus folder.
        job: `names` of the files, and `options` as keywords of `ReadOptions`.
    """
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints, prints elsewhere
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    given = dict(job["options"])
    given["audio_root"] = Path(given["audio_root"]) if given.get("audio_root") else None
    options = ReadOptions(**given)

    def send(number: int, what: Clip | Fault | AmttsError | str | None) -> None:
        pickle.dump((number, what), stream, protocol=pickle.HIGHEST_PROTOCOL)
        stream.flush()  # what is read is not lost with the process

    with stream:
        for number, name in enumerate(job["names"]):
            send(number, None)
            try:
                for entry in read_parquet(
                    Path(folder), name, options, on_schema=lambda line, n=number: send(n, line)
                ):
                    send(number, entry)
            except AmttsError as error:
                send(number, error)
                return
