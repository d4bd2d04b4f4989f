"""Writes one shard of codes, so that a kill at any moment costs no more than what was being written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.codec.store import FEATURE, read_identity
from amtts_core.contract.codec import CodecIdentity
from amtts_core.errors import AmttsError
from amtts_core.storage.atomic import replace_text, take_folder
from amtts_core.storage.feature_store import FORMAT
from amtts_core.storage.json_lines import json_line


@dataclass(frozen=True)
class EncodedUtterance:
    """What a shard keeps of an utterance.

    Attributes:
        id: of the utterance.
        stamp: size and stretch of its audio.
        arrays: `codes` (L, K) uint16 and further arrays (rows, C) float32.
        problem: why there are none.
    """

    id: str
    stamp: str
    arrays: Mapping[str, np.ndarray]
    problem: str = ""


@dataclass
class ShardWriter:
    """Appends codes to one shard; made by `open`. The folder is this process' own until `close`.

    Attributes:
        extras: further arrays: name -> channels of a float32 row.
        done: id -> audio stamp of every utterance that is in it and needs no further try.
        without: ids of those appended that have no codes -> why.
    """

    folder: Path
    identity: CodecIdentity
    extras: Mapping[str, int] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    _failed: bool = False
    _lock: int | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        identity: CodecIdentity,
        *,
        extras: Mapping[str, int] | None = None,
        fresh: bool = False,
    ) -> ShardWriter:
        """A shard to go on with, or a new one. What a kill left half-written is cut off.

        Args:
            folder: of the shard.
            identity: of the codec.
            extras: further arrays: name -> channels of a float32 row.
            fresh: delete what the shard holds.

        Raises:
            AmttsError: the shard holds codes of another codec, another process writes it, or it cannot be written.
        """
        writer = cls(folder, identity, extras or {})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writer._lock = take_folder(folder)
            if fresh:
                for path in folder.iterdir():
                    path.unlink()
            head = folder / "codec.json"
            if head.exists():
                read_identity(folder).require(identity, what=str(folder))
            else:
                replace_text(head, json.dumps(identity.as_dict()))
            writer._recover()
        except BlockingIOError:
            raise AmttsError(
                f"another `amtts encode-codes` is at work in {folder}",
                remedy="Wait for it, or choose another --out",
            ) from None
        except OSError as error:
            writer.close()
            raise writer._not_written(error) from None
        except AmttsError:
            writer.close()
            raise
        return writer

    def close(self) -> None:
        """Leaves the folder to others."""
        handle, self._lock = self._lock, None
        if handle is not None:
            os.close(handle)

    def drop_if_empty(self) -> None:
        """Removes the shard, and the store's folder, where no utterance has codes in it."""
        if len(self.without) == len(self.done):
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # other shards lie there
                self.folder.parent.rmdir()

    def _not_written(self, error: OSError) -> AmttsError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return AmttsError(
            f"code shard {self.folder} cannot be written: {error.strerror or error}",
            remedy="Free space and run the command again; it goes on where it stopped"
            if full
            else "Choose another --out",
        )

    def _recover(self) -> None:
        rows_file = self.folder / "rows.jsonl"
        rows_file.touch()
        kept_rows, kept, available = 0, dict.fromkeys(self._row_bytes, 0), {}
        for name in kept:
            path = self._file(name)
            path.touch()
            available[name] = path.stat().st_size
        for line in rows_file.read_bytes().splitlines(keepends=True):
            row = _whole_row(line)
            if row is None:
                break
            ends = {n: at + row["lengths"].get(n, 0) * self._row_bytes[n] for n, at in kept.items()}
            if any(end > available[name] for name, end in ends.items()):
                break
            if "problem" in row:
                self._failed = True
            else:
                self.done[row["id"]] = row["audio"]
            kept_rows, kept = kept_rows + len(line), ends
        os.truncate(rows_file, kept_rows)
        for name, end in kept.items():
            os.truncate(self._file(name), end)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    @property
    def _row_bytes(self) -> dict[str, int]:
        """Size of a row of every array."""
        return {FEATURE: 2 * self.identity.num_codebooks, **{n: 4 * c for n, c in self.extras.items()}}

    def _forget_failed(self) -> None:
        """Takes the rows of utterances out that had no codes when the shard was opened: they are tried again."""
        if self._failed:
            rows_file = self.folder / "rows.jsonl"
            rows = rows_file.read_bytes().splitlines(keepends=True)
            kept = b"".join(row for row in rows if "problem" not in json.loads(row))
            replace_text(rows_file, kept.decode("utf-8"))
            self._failed = False

    def append(self, utterances: Iterable[EncodedUtterance]) -> None:
        """Adds utterances.

        Raises:
            AmttsError: the disk is full. What was complete stays good.
        """
        (self.folder / "store.json").unlink(missing_ok=True)
        utterances = list(utterances)
        lines = []
        for item in utterances:
            row: dict[str, Any] = {
                "id": item.id,
                "lengths": {name: len(array) for name, array in item.arrays.items()},
                "audio": item.stamp,
            }
            if item.problem:
                row["problem"] = item.problem
            lines.append(json_line(row))
        try:
            self._forget_failed()
            for name in self._row_bytes:
                kind = np.uint16 if name == FEATURE else np.float32
                parts = [item.arrays[name] for item in utterances if name in item.arrays]
                with self._file(name).open("ab") as handle:
                    for array in parts:
                        handle.write(np.ascontiguousarray(array, dtype=kind).tobytes())
            with (self.folder / "rows.jsonl").open("a", encoding="utf-8") as handle:
                handle.write("".join(lines))
        except OSError as error:
            raise self._not_written(error) from error
        for item in utterances:
            self.done[item.id] = item.stamp
            if item.problem:
                self.without[item.id] = item.problem

    def finish(self) -> None:
        """Marks the shard complete and leaves it to others.

        Raises:
            AmttsError: the disk is full.
        """
        try:
            self._forget_failed()
            for path in (self.folder / "rows.jsonl", *map(self._file, self._row_bytes)):
                with path.open("rb") as handle:
                    os.fsync(handle.fileno())
            kinds = {FEATURE: {"dtype": "uint16", "channels": self.identity.num_codebooks}}
            kinds |= {name: {"dtype": "float32", "channels": count} for name, count in self.extras.items()}
            kinds = {name: kind for name, kind in kinds.items() if self._file(name).stat().st_size}
            replace_text(self.folder / "store.json", json.dumps({"format": FORMAT, "features": kinds}))
        except OSError as error:
            raise self._not_written(error) from error
        self.close()


def _whole_row(line: bytes) -> dict[str, Any] | None:
    """The row of a complete line, None for one that was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        whole = {"id", "lengths", "audio"} <= set(row) and (FEATURE in row["lengths"] or "problem" in row)
        return row if whole else None
    except (ValueError, TypeError):
        return None
