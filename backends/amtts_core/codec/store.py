"""Codes on disk: memory-mapped uint16, one folder a shard, each saying which codec made it.

    OUT/shard-00000-of-00002/
        codec.json     the codec's identity; two sets of codes with other identities never mix
        rows.jsonl     one line an utterance: id, frames, and the size and stretch of its audio
        codes.bin      frames one after another, K codes of two bytes each
        store.json     written last: the shard is complete

A shard is a `FeatureStore` with one feature, `codes` (L, K). Rows are appended after their codes, so after a kill
everything up to the last whole row is still good and encoding goes on there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.codec.protocol import CodecIdentity
from amtts_core.data.features import FORMAT, FeatureStore
from amtts_core.errors import AmttsError

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

    def get(self, key: str) -> np.ndarray:
        """(L, K) uint16 of one utterance.

        Raises:
            AmttsError: the store has no codes of it.
        """
        if key not in self.places:
            raise AmttsError(
                f"code store {self.folder} has no codes of utterance '{key}'",
                remedy="Encode the manifest again (only what is missing is done): amtts encode-codes",
            )
        shard, row = self.places[key]
        codes: np.ndarray = self.shards[shard].get(row)[FEATURE]
        return codes


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


@dataclass
class ShardWriter:
    """Appends codes to one shard; made by `open`.

    Attributes:
        done: id -> audio stamp of every utterance that is in it.
    """

    folder: Path
    identity: CodecIdentity
    done: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, identity: CodecIdentity) -> ShardWriter:
        """A shard to go on with, or a new one. What a kill left half-written is cut off.

        Raises:
            AmttsError: the shard holds codes of another codec.
        """
        folder.mkdir(parents=True, exist_ok=True)
        head = folder / "codec.json"
        if head.exists():
            read_identity(folder).require(identity, what=str(folder))
        else:
            _write_atomically(head, identity.as_dict())
        writer = cls(folder, identity)
        writer._recover()
        return writer

    def _recover(self) -> None:
        rows_file, codes_file = self.folder / "rows.jsonl", self.folder / "codes.bin"
        for path in (rows_file, codes_file):
            path.touch()
        kept_rows, kept_codes, available = 0, 0, codes_file.stat().st_size
        for line in rows_file.read_bytes().splitlines(keepends=True):
            row = _whole_row(line)
            size = 0 if row is None else row["lengths"][FEATURE] * self._frame_bytes
            if row is None or kept_codes + size > available:
                break
            self.done[row["id"]] = row["audio"]
            kept_rows, kept_codes = kept_rows + len(line), kept_codes + size
        os.truncate(rows_file, kept_rows)
        os.truncate(codes_file, kept_codes)

    @property
    def _frame_bytes(self) -> int:
        return 2 * self.identity.num_codebooks

    def append(self, rows: Iterable[tuple[str, str, np.ndarray]]) -> None:
        """Adds utterances: (id, audio stamp, codes (L, K)).

        Raises:
            AmttsError: the disk is full. What was complete stays good.
        """
        (self.folder / "store.json").unlink(missing_ok=True)
        rows = list(rows)
        lines = []
        for key, stamp, codes in rows:
            row = {"id": key, "lengths": {FEATURE: len(codes)}, "audio": stamp}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        try:
            with (self.folder / "codes.bin").open("ab") as handle:
                for _, _, codes in rows:
                    handle.write(np.ascontiguousarray(codes, dtype=np.uint16).tobytes())
            with (self.folder / "rows.jsonl").open("a", encoding="utf-8") as handle:
                handle.write("".join(lines))
        except OSError as error:
            raise AmttsError(
                f"code shard {self.folder} cannot be written: {error.strerror or error}",
                remedy="Free space and run the command again; it goes on where it stopped",
            ) from error
        self.done.update({key: stamp for key, stamp, _ in rows})

    def finish(self) -> None:
        """Marks the shard complete."""
        for name in ("codes.bin", "rows.jsonl"):
            with (self.folder / name).open("rb") as handle:
                os.fsync(handle.fileno())
        kind = {"dtype": "uint16", "channels": self.identity.num_codebooks}
        _write_atomically(self.folder / "store.json", {"format": FORMAT, "features": {FEATURE: kind}})


def _whole_row(line: bytes) -> dict[str, Any] | None:
    """The row of a complete line, None for one that was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        return row if {"id", "lengths", "audio"} <= set(row) and FEATURE in row["lengths"] else None
    except (ValueError, TypeError):
        return None


def _write_atomically(path: Path, values: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(values), encoding="utf-8")
    temporary.replace(path)
