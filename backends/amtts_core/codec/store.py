"""Codes on disk: memory-mapped uint16, one folder a shard, each saying which codec made it.

    OUT/shard-00000-of-00002/
        codec.json     the codec's identity; two sets of codes with other identities never mix
        rows.jsonl     one line an utterance: id, frames, and the size and stretch of its audio
        codes.bin      frames one after another, K codes of two bytes each
        NAME.bin       further rows of float32, such as speaker vectors, where the codec's files have them
        store.json     written last: the shard is complete

A shard is a `FeatureStore` with the feature `codes` (L, K). Rows are appended after their codes, so after a kill
everything up to the last whole row is still good and encoding goes on there. An utterance without codes has a row with
a `problem` instead and no bytes; the next run takes that row out and tries the utterance again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.codec.protocol import CodecIdentity
from amtts_core.data.features import FORMAT, FeatureStore
from amtts_core.data.manifest import json_line
from amtts_core.errors import AmttsError
from amtts_core.files import replace_text, take_folder

FEATURE = "codes"
SHARD = re.compile(r"shard-(\d{5})-of-(\d{5})")


def shard_folder(folder: Path, index: int, count: int) -> Path:
    """Where shard `index` of `count` lies."""
    return folder / f"shard-{index:05d}-of-{count:05d}"


@dataclass(frozen=True)
class CodeStore:
    """Read access to all shards of a store, by utterance id."""

    folder: Path
    identity: CodecIdentity
    shards: list[FeatureStore]
    places: dict[str, tuple[int, int]]
    """id -> (shard, row)."""

    @classmethod
    def open(cls, folder: Path, *, expect: CodecIdentity | None = None) -> CodeStore:
        """Opens a finished store.

        Args:
            folder: as `amtts encode-codes --out` was given it.
            expect: the codec the reader uses; another one is refused.

        Raises:
            AmttsError: no store, an unfinished one, shards of several codecs, or not the expected codec.
        """
        parts = _finished_shards(folder)
        identity = read_identity(parts[0])
        for part in parts[1:]:
            identity.require(read_identity(part), what=str(parts[0]))
        if expect is not None:
            identity.require(expect, what=str(folder))
        shards = [FeatureStore.open(part) for part in parts]
        places: dict[str, tuple[int, int]] = {}
        for number, shard in enumerate(shards):
            for row, key in enumerate(shard.ids):
                if key in places:
                    raise AmttsError(f"code store {folder}: utterance '{key}' is in it twice")
                places[key] = (number, row)
        return cls(folder, identity, shards, places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, key: object) -> bool:
        return key in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def problem(self, key: str) -> str:
        """Why there are no codes of an utterance; empty where there are."""
        if key not in self.places:
            return f"code store {self.folder} has no codes of utterance '{key}'"
        shard, row = self.places[key]
        return self.shards[shard].problems.get(row, "")

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """`codes` (L, K) uint16 of one utterance, and what else is stored of it.

        Raises:
            AmttsError: the store has no codes of it.
        """
        wrong = self.problem(key)
        if wrong:
            raise AmttsError(
                wrong, remedy="Encode the manifest again (only what is missing is done): amtts encode-codes"
            )
        shard, row = self.places[key]
        return self.shards[shard].get(row)

    def get(self, key: str) -> np.ndarray:
        """(L, K) uint16 of one utterance.

        Raises:
            AmttsError: the store has no codes of it.
        """
        return self.arrays(key)[FEATURE]

    def lengths(self, key: str) -> dict[str, int]:
        """Rows of every array of one utterance."""
        shard, row = self.places[key]
        return self.shards[shard].lengths(row)


def require_parts(folder: Path, count: int) -> None:
    """Refuses a store whose shards are not of `count` parts: no reader would take both sets.

    Raises:
        AmttsError: names both numbers.
    """
    others = {int(found[2]) for p in folder.glob("shard-*") if (found := SHARD.fullmatch(p.name))} - {count}
    if others:
        raise AmttsError(
            f"{folder} holds shards of {max(others)} parts, this would be one of {count}",
            remedy=f"Give --num-shards {max(others)}, or another --out",
        )


def _finished_shards(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.glob("shard-*") if SHARD.fullmatch(p.name))
    if not found:
        raise AmttsError(
            f"{folder} holds no codes", remedy="Make them with: amtts encode-codes MANIFEST --out DIR"
        )
    counts = {int(SHARD.fullmatch(p.name)[2]) for p in found}  # type: ignore[index]
    if len(counts) > 1:
        raise AmttsError(f"code store {folder} mixes shards of {sorted(counts)} parts; keep one set")
    wanted = [shard_folder(folder, index, max(counts)) for index in range(max(counts))]
    missing = [p.name for p in wanted if not (p / "store.json").is_file()]
    if missing:
        raise AmttsError(
            f"code store {folder} is not finished: {', '.join(missing[:4])} of {len(wanted)} missing",
            remedy="Run amtts encode-codes again; it goes on where it stopped",
        )
    return wanted


def read_identity(shard: Path) -> CodecIdentity:
    """The codec that made a shard.

    Raises:
        AmttsError: the shard does not say.
    """
    try:
        return CodecIdentity.from_dict(json.loads((shard / "codec.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise AmttsError(f"code shard {shard}: codec.json cannot be read ({error})") from None


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
    """Appends codes to one shard; made by `open`.

    Attributes:
        extras: further arrays: name -> channels of a float32 row.
        done: id -> audio stamp of every utterance that is in it and needs no further try.
        without: ids of those appended that have no codes -> why.

    The folder is this process' own until `close`.
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
        return AmttsError(
            f"code shard {self.folder} cannot be written: {error.strerror or error}",
            remedy="Is the disk full or --out no folder of yours? Run the command again; it goes on where it stopped",
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
