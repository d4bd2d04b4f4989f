"""Looks a line up by its first word, in a text of any size: 16 bytes of memory a line instead of the line."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

import numpy as np

from amtts_core.corpus.importers.table import LONGEST_LINE


def _digest(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little")


class KeyIndex:
    """Lines of a UTF-8 file by key, the part before the first blank; the first line of a key counts.

    Args:
        path: the file; one that does not exist has no lines.
    """

    def __init__(self, path: Path) -> None:
        self._handle = path.open("rb") if path.is_file() else None
        hashes, offsets = np.zeros(1024, np.uint64), np.zeros(1024, np.int64)
        count = 0
        for offset, line in self._lines():
            if count == len(hashes):
                hashes, offsets = np.resize(hashes, 2 * count), np.resize(offsets, 2 * count)
            hashes[count], offsets[count] = _digest(line.split(None, 1)[0]), offset
            count += 1
        order = np.argsort(hashes[:count], kind="stable")
        self._hashes, self._offsets = hashes[:count][order], offsets[:count][order]

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        if self._handle is None:
            return
        self._handle.seek(0)
        offset = 3 if self._handle.read(3) == b"\xef\xbb\xbf" else 0
        self._handle.seek(offset)
        while line := self._handle.readline(LONGEST_LINE):
            if line.strip():
                yield offset, line
            offset += len(line)

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, key: str) -> str | None:
        """What stands after the key; None where no line has it."""
        if self._handle is None:
            return None
        wanted = key.encode("utf-8", "surrogateescape")
        digest = np.uint64(_digest(wanted))
        place = int(np.searchsorted(self._hashes, digest))
        while place < len(self._hashes) and self._hashes[place] == digest:
            self._handle.seek(int(self._offsets[place]))
            parts = self._handle.readline(LONGEST_LINE).split(None, 1)
            if parts and parts[0] == wanted:
                return parts[1].decode("utf-8", "replace").strip() if len(parts) > 1 else ""
            place += 1
        return None

    def __enter__(self) -> KeyIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.close()
