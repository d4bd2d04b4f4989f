"""Speaks the rows of a batch into a folder; what is there already is not spoken again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amtts_core.errors import AmttsError
from amtts_core.synthesis.batch.folder import SpeechFolder
from amtts_core.synthesis.batch.rows import Row, file_name, with_problems


@dataclass(frozen=True, kw_only=True)
class Task:
    """A row to speak and the file to write."""

    row: Row
    file: str
    path: Path
    key: str
    order: int


@dataclass
class BatchResult:
    """What came of a batch.

    Attributes:
        records: a line a row, in order.
        reused: rows that an earlier run had spoken.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    reused: int = 0

    @property
    def bad(self) -> list[dict[str, Any]]:
        """Rows that were not spoken."""
        return [record for record in self.records if record.get("problem")]

    @property
    def seconds(self) -> float:
        """Of speech, all rows together."""
        return sum(float(record.get("seconds", 0)) for record in self.records)


def key_of(row: Row, settings: Mapping[str, Any]) -> str:
    """A digest of what a row's speech depends on."""
    parts = [row.text, row.speaker, row.voice, sorted(settings.items())]
    text = json.dumps(parts, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).hexdigest()


def plan(
    rows: Sequence[Row],
    folder: Path,
    *,
    ending: str,
    settings: Mapping[str, Any],
    check: Callable[[Row], None],
) -> tuple[list[Task], list[Row]]:
    """Tasks of the rows that can be spoken, and the other rows with their problem.

    Args:
        rows: of the batch.
        folder: that the files go to.
        ending: of the files.
        settings: everything besides the row that its speech depends on.
        check: raises the `AmttsError` that speaking a row would raise.
    """
    tasks: list[Task] = []
    bad: list[Row] = []
    for order, row in enumerate(with_problems(rows, ending)):
        if not row.problem:
            try:
                check(row)
            except AmttsError as fault:
                row = replace(row, problem=str(fault))
        if row.problem:
            bad.append(row)
            continue
        name = file_name(row, ending)
        tasks.append(Task(row=row, file=name, path=folder / name, key=key_of(row, settings), order=order))
    return tasks, bad


def refuse_bad(bad: Sequence[Row], source: str = "") -> None:
    """Names the first row that cannot be spoken, and how many there are.

    Raises:
        AmttsError: there is one.
    """
    if bad:
        first = bad[0]
        more = f"; {len(bad) - 1} more like it" if len(bad) > 1 else ""
        where = f"{source}, {first.place}" if source else first.place
        raise AmttsError(f"{where}: {first.problem.rstrip('.')}{more}", remedy="Mend it, or add --skip-bad")


def speak_batch(
    tasks: Sequence[Task],
    folder: SpeechFolder,
    run: Callable[[Sequence[Task]], Generator[tuple[Task, Mapping[str, Any]]]],
    *,
    bad: Sequence[Row] = (),
    on_row: Callable[[dict[str, Any], bool], None] | None = None,
) -> BatchResult:
    """Speaks what is not there yet.

    Args:
        tasks: of the batch.
        folder: that they go to.
        run: synthesizes tasks and yields the report of each, in order; a `problem` where one could not be spoken.
        bad: rows that cannot be spoken; they are reported with their problem.
        on_row: called with each line and whether it was there already.

    Raises:
        AmttsError: a file is not ours, or cannot be written.
    """
    for task in tasks:
        folder.check_free(task.file)
    result = BatchResult()
    missing: list[Task] = []
    for task in tasks:
        if (record := folder.done(task.file, task.key)) is not None:
            result.records.append(record)
            result.reused += 1
            if on_row:
                on_row(record, True)
        else:
            missing.append(task)
    folder.begin([task.file for task in missing])
    with contextlib.closing(run(missing)) as reports:  # when this ends, no process writes any longer
        for task, report in reports:
            record = {"id": task.row.id, "file": task.file, "text": task.row.text, **report}
            record |= {"key": task.key, "order": task.order}
            if task.row.speaker:
                record["speaker"] = task.row.speaker
            folder.add(record)
            result.records.append(record)
            if on_row:
                on_row(record, False)
    result.records.sort(key=lambda record: int(record.get("order", 0)))
    for row in bad:
        result.records.append({"id": row.id, "place": row.place, "text": row.text, "problem": row.problem})
    return result
