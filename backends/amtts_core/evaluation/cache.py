"""Scores by the content they were computed from, so that nothing is computed twice: an SQLite file."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.errors import AmttsError


def content_key(*parts: str | np.ndarray) -> str:
    """sha256 in hex over texts and arrays, their types and lengths included."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes()
        kind = "text" if isinstance(part, str) else f"{part.dtype}{part.shape}"
        digest.update(f"{kind}:{len(data)}:".encode() + data)
    return digest.hexdigest()


class ScoreCache:
    """JSON values by key.

    Args:
        path: the file; it is made where it is missing.

    Raises:
        AmttsError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, value TEXT)")
        except (OSError, sqlite3.Error) as error:
            raise AmttsError(
                f"cache {path} cannot be used: {error}", remedy="Remove it, or give another --out"
            ) from None

    def get(self, key: str) -> Any:
        """The value, or None."""
        row = self._connection.execute("SELECT value FROM scores WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: str, value: Any) -> None:
        """Stores a value that is not None."""
        text = json.dumps(value, ensure_ascii=False)
        self._connection.execute("INSERT OR REPLACE INTO scores VALUES (?, ?)", (key, text))

    def get_all(self, keys: Sequence[str]) -> list[Any]:
        """The values, None where there is none."""
        return [self.get(key) for key in keys]

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()
