"""A file that consists of parts of another one and of bytes of one's own, for decoders that take file objects.

Used where a header is wrong: the decoder is given a right one in front of the samples that the file really holds.
"""

from __future__ import annotations

import bisect
import io
import os
from collections.abc import Sequence
from typing import BinaryIO

_SMALL = 32 << 20  # bytes
_BUFFER = 1 << 18
Piece = bytes | tuple[int, int]
"""Bytes as they are, or offset and length of a stretch of the underlying file."""


class Pieces(io.RawIOBase):
    """Reads pieces one after the other as one file.

    Args:
        handle: the underlying file; stays open and is the caller's to close.
        pieces: in order.
    """

    def __init__(self, handle: BinaryIO, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._handle = handle
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._starts: list[int] = []
        self._size = 0
        for piece in self._pieces:
            self._starts.append(self._size)
            self._size += _length(piece)
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a byte, as for any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fills a buffer as far as the pieces reach."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(view) and self._at < self._size:
            number = bisect.bisect_right(self._starts, self._at) - 1
            inside = self._at - self._starts[number]
            piece = self._pieces[number]
            wanted = min(len(view) - done, _length(piece) - inside)
            if isinstance(piece, bytes):
                got = piece[inside : inside + wanted]
            else:
                self._handle.seek(piece[0] + inside)
                got = self._handle.read(wanted)
            if not got:
                break  # the file became shorter meanwhile
            view[done : done + len(got)] = got
            done += len(got)
            self._at += len(got)
        return done


def as_file(handle: BinaryIO, pieces: Sequence[Piece]) -> BinaryIO:
    """Pieces as one file: in memory where they are small, which decoders read much faster."""
    if sum(map(_length, pieces)) > _SMALL:
        return io.BufferedReader(Pieces(handle, pieces), _BUFFER)
    parts = []
    for piece in pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
        else:
            handle.seek(piece[0])
            parts.append(handle.read(piece[1]))
    return io.BytesIO(b"".join(parts))


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1]
