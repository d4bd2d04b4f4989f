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

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amtts_core.contract.codec import CodecIdentity
from amtts_core.corpus.manifest import Utterance
from amtts_core.errors import AmttsError
from amtts_core.storage.feature_store import FeatureStore
from amtts_core.storage.json_lines import read_json_lines

FEATURE = "codes"
SHARD = re.compile(r"shard-(\d{5})-of-(\d{5})")


def shard_folder(folder: Path, index: int, count: int) -> Path:
    """Where shard `index` of `count` lies."""
    return folder / f"shard-{index:05d}-of-{count:05d}"


def stretch_of(utterance: Utterance) -> str:
    """Which part of its file an utterance is; the end of its stamp in a shard."""
    return f"{utterance.offset:g}+{utterance.duration:g} s"


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

    def stamps(self) -> dict[str, str]:
        """Size and stretch of the audio of every utterance, as it was encoded."""
        rows = (row for shard in self.shards for row in read_json_lines(shard.folder / "rows.jsonl"))
        return {row["id"]: row.get("audio", "") for row in rows}

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
        raise AmttsError(
            f"code shard {shard}: codec.json cannot be read ({error})",
            remedy="Encode it again with --force, or into another --out",
        ) from None
