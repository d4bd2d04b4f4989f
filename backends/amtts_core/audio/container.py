"""Says where a wav or ogg file was cut off, which the decoder hides by returning what is there."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_STREAMED_FROM = 0x7FFFF000
"""A size of 0 or from here on was never filled in: the writer streamed and did not know the length."""
_TAIL = 1 << 17  # longer than any ogg page
_END_OF_STREAM = 0x04


def missing_data(path: Path) -> str:
    """What a cut-off wav or ogg file lacks, empty where it is whole or of another format."""
    with path.open("rb") as handle:
        return missing_data_in(handle)


def missing_data_in(handle: BinaryIO) -> str:
    """What a cut-off wav or ogg file lacks, given its content."""
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    magic = handle.read(4)
    if magic in (b"RIFF", b"RIFX"):
        return _missing_in_riff(handle, size, big_endian=magic == b"RIFX")
    if magic == b"OggS":
        handle.seek(max(0, size - _TAIL))
        return _missing_in_ogg(handle.read())
    return ""


def _missing_in_riff(handle: BinaryIO, size: int, *, big_endian: bool) -> str:
    order = ">" if big_endian else "<"
    byte_rate = 0
    handle.seek(12)
    while len(head := handle.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", head)
        here = handle.tell()
        if name == b"data":
            there = size - here
            streamed = not 0 < length < _STREAMED_FROM
            # a tenth of a second is more than a sloppy writer gets wrong
            if not streamed and length - there > max(1, byte_rate // 10):
                return f"{there} of {length} bytes of samples"
            return ""
        if name == b"fmt " and length >= 12:
            byte_rate = struct.unpack(f"{order}HHII", handle.read(12).ljust(12, b"\0"))[3]
        handle.seek(here + length + length % 2)
    return ""


def _missing_in_ogg(tail: bytes) -> str:
    last = tail.rfind(b"OggS")
    if last >= 0 and len(tail) > last + 27:
        segments = tail[last + 26]
        body = sum(tail[last + 27 : last + 27 + segments])
        whole = len(tail) >= last + 27 + segments + body
        if whole and tail[last + 5] & _END_OF_STREAM:
            return ""
    return "the last page of the stream is missing"
