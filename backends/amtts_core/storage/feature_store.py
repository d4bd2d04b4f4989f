"""Arrays of many utterances, computed once and memory-mapped: one flat file a feature, not one file a clip.

A store is a folder: `store.json` (format, shapes), `rows.jsonl` (one line an utterance: id, lengths) and `<name>.bin`
(all utterances' arrays one after another, C channels a row).
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import json_line, read_json_lines

logger = logging.getLogger(__name__)


FORMAT = 1


STORED = {"float32": "float16", "float64": "float16"}
"""Floats are stored in half precision: a log-mel keeps three digits, which is finer than its own noise."""


@dataclass(frozen=True)
class FeatureStore:
    """Read access to a store. Arrays are views of the memory-mapped files until they are converted."""

    folder: Path
    ids: list[str]
    starts: dict[str, np.ndarray]
    """Feature name -> (U + 1,) row offsets."""
    arrays: dict[str, np.ndarray]
    """Feature name -> (rows, C) memory map."""
    problems: dict[int, str]
    """Index of an utterance without features -> why."""

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Opens a finished store.

        Raises:
            AmttsError: the folder holds no readable store.
        """
        try:
            head = json.loads((folder / "store.json").read_text(encoding="utf-8"))
            rows = list(read_json_lines(folder / "rows.jsonl"))
            arrays: dict[str, np.ndarray] = {}
            starts: dict[str, np.ndarray] = {}
            for name, kind in head["features"].items():
                lengths = np.array([row["lengths"].get(name, 0) for row in rows], dtype=np.int64)
                starts[name] = np.concatenate([[0], np.cumsum(lengths)])
                shape = (int(starts[name][-1]), kind["channels"])
                expected = shape[0] * shape[1] * np.dtype(kind["dtype"]).itemsize
                size = (folder / f"{name}.bin").stat().st_size
                if size != expected:
                    raise ValueError(f"{name}.bin has {size} bytes, expected {expected}")
                arrays[name] = np.memmap(folder / f"{name}.bin", kind["dtype"], mode="r", shape=shape)
        except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise AmttsError(
                f"feature cache {folder} cannot be read ({type(error).__name__}: {error})",
                remedy="Delete that folder; it is made again",
            ) from None
        problems = {i: row["problem"] for i, row in enumerate(rows) if "problem" in row}
        return cls(folder, [row["id"] for row in rows], starts, arrays, problems)

    def __len__(self) -> int:
        return len(self.ids)

    def lengths(self, index: int) -> dict[str, int]:
        """Rows of every feature of one utterance."""
        return {name: int(start[index + 1] - start[index]) for name, start in self.starts.items()}

    def get(self, index: int) -> dict[str, np.ndarray]:
        """Feature name -> (L, C) of one utterance; half floats come back as float32."""
        out = {}
        for name, start in self.starts.items():
            rows = self.arrays[name][start[index] : start[index + 1]]
            out[name] = np.asarray(rows, dtype=np.float32 if rows.dtype == np.float16 else rows.dtype)
        return out

    def statistics(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """`<name>_mean` and `<name>_std`, (C,) float32, over the given utterances, in one streaming pass."""
        out: dict[str, np.ndarray] = {}
        for name, start in self.starts.items():
            total = np.zeros(self.arrays[name].shape[1])
            squares, count = np.zeros_like(total), 0
            for index in indices:
                rows = self.arrays[name][start[index] : start[index + 1]].astype(np.float64)
                total, squares, count = total + rows.sum(0), squares + (rows**2).sum(0), count + len(rows)
            mean = total / max(1, count)
            out[f"{name}_mean"] = mean.astype(np.float32)
            out[f"{name}_std"] = np.sqrt(np.maximum(squares / max(1, count) - mean**2, 1e-8)).astype(
                np.float32
            )
        return out


def stored_in(
    folder: Path,
    make: Callable[[], Iterable[Computed]],
    on_progress: Callable[[int], None] | None = None,
) -> FeatureStore:
    """Opens the store of this folder, or makes it so that it is whole or absent.

    Args:
        folder: of this store alone.
        make: the features of all its utterances in order; called only where the store is missing.
        on_progress: called with 1 after each utterance.

    Raises:
        AmttsError: the folder cannot be written.
    """
    if (folder / "store.json").exists():
        return FeatureStore.open(folder)
    _remove_remains(folder.parent)
    temporary = folder.with_name(f"{folder.name}.tmp{os.getpid()}-{platform.node()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        _write_store(temporary, make(), on_progress)
        if not folder.exists():
            temporary.replace(folder)
    except OSError as error:
        raise AmttsError(
            f"feature cache {folder} cannot be written: {error.strerror or error}",
            remedy="Free space, or choose another folder with --set data.cache=DIR",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return FeatureStore.open(folder)


def _remove_remains(cache: Path) -> None:
    """Removes half-made stores of processes of this machine that are no more; others may still be at work."""
    for remains in cache.glob("*.tmp*"):
        number, _, host = remains.name.rpartition(".tmp")[2].partition("-")
        if host == platform.node() and number.isdigit() and not psutil.pid_exists(int(number)):
            logger.warning("removing %s, left by a process that was killed", remains)
            shutil.rmtree(remains, ignore_errors=True)


@dataclass(frozen=True)
class Computed:
    """The features of one utterance, or why there are none."""

    id: str
    arrays: dict[str, np.ndarray]
    problem: str = ""


def as_stored(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as they are stored, each (L, C).

    Raises:
        AmttsError: a value is not finite.
    """
    out = {}
    for name, array in arrays.items():
        rows = np.ascontiguousarray(array.reshape(len(array), -1))
        with np.errstate(over="ignore"):  # reported by the next line
            rows = rows.astype(STORED.get(str(rows.dtype), rows.dtype))
        if not np.isfinite(rows).all():
            raise AmttsError(f"feature '{name}' holds values that are not finite in {rows.dtype}")
        out[name] = rows
    return out


def _write_store(
    folder: Path, features: Iterable[Computed], on_progress: Callable[[int], None] | None
) -> None:
    kinds: dict[str, dict[str, Any]] = {}
    handles: dict[str, Any] = {}
    try:
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as rows:
            for computed in features:
                row: dict[str, Any] = {"id": computed.id, "lengths": {}}
                if computed.problem:
                    row["problem"] = computed.problem
                for name, array in computed.arrays.items():
                    kind = {"dtype": str(array.dtype), "channels": array.shape[1]}
                    if kinds.setdefault(name, kind) != kind:
                        raise ValueError(
                            f"feature '{name}' of '{computed.id}' is {kind}, the others {kinds[name]}"
                        )
                    if name not in handles:
                        handles[name] = (folder / f"{name}.bin").open("wb")
                    handles[name].write(array.tobytes())
                    row["lengths"][name] = len(array)
                rows.write(json_line(row))
                if on_progress:
                    on_progress(1)
    finally:
        for handle in handles.values():
            handle.close()
    (folder / "store.json").write_text(json.dumps({"format": FORMAT, "features": kinds}), encoding="utf-8")
