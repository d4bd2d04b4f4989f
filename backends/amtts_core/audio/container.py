"""Where the samples of a wav file really are, and whether a wav or ogg file was cut off, which decoders hide."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

from amtts_core.audio.pieces import Piece

_STREAMED_FROM = 0x7FFFF000
"""A size of 0 or from here on was never filled in: the writer streamed and did not know the length."""
_LARGEST = 0xFFFFFFFF - 1024
_BEGIN_OF_STREAM, _END_OF_STREAM = 0x02, 0x04
_TAGS = (b"ID3", b"TAG", b"APET", b"LYRI")


@dataclass
class Container:
    """What was found out about a file.

    Attributes:
        problem: why it cannot be read; empty where it is whole, or of another format.
        pieces: a file with a right header; empty where the file's own will do.
    """

    problem: str = ""
    pieces: list[Piece] = field(default_factory=list)


def look_into(handle: BinaryIO) -> Container:
    """Looks at the structure of a wav or ogg file, given its content."""
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    magic = handle.read(4)
    if magic in (b"RIFF", b"RIFX"):
        return _look_into_riff(handle, size, order=">" if magic == b"RIFX" else "<")
    if magic == b"OggS":
        return _look_into_ogg(handle, size)
    return Container()


@dataclass(frozen=True)
class _Data:
    """The chunk of samples of a wav file: its format, where it is and how long it says it is."""

    fmt: bytes
    begin: int
    length: int

    @property
    def byte_rate(self) -> int:
        return int(struct.unpack("<I", self.fmt[8:12].ljust(4, b"\0"))[0])


def _look_into_riff(handle: BinaryIO, size: int, *, order: str) -> Container:
    data = _find_data(handle, 0, size, order)
    if data is None:
        return Container()
    there = size - data.begin
    if not 0 < data.length < _STREAMED_FROM:
        streamed = there > 0 and not (data.length == 0 and _chunks_follow(handle, data.begin, size, order))
        return Container(pieces=_with_header(handle, data, [(data.begin, there)], order) if streamed else [])
    tenth = max(1, data.byte_rate // 10)  # of a second, more than a sloppy writer gets wrong
    if data.length - there > tenth:
        return Container(f"is cut short: {there} of {data.length} bytes of samples")
    after = data.begin + data.length
    handle.seek(after)
    following = handle.read(16)
    if following[:4] == b"RIFF" or following[1:5] == b"RIFF":
        return _joined(handle, size, data, order)
    if size - after <= tenth or following.startswith(_TAGS) or _chunks_follow(handle, after, size, order):
        return Container()
    return Container(pieces=_with_header(handle, data, [(data.begin, there)], order))


def _find_data(handle: BinaryIO, start: int, size: int, order: str) -> _Data | None:
    fmt = b""
    at = start + 12
    while at + 8 <= size:
        handle.seek(at)
        name, length = struct.unpack(f"{order}4sI", handle.read(8))
        if name == b"data":
            return _Data(fmt, at + 8, length) if fmt else None
        if name == b"fmt ":
            fmt = handle.read(min(length, 64))
            if order == ">":
                fmt = fmt[:8] + fmt[8:12][::-1] + fmt[12:]
        at += 8 + length + length % 2
    return None


def _chunks_follow(handle: BinaryIO, at: int, size: int, order: str) -> bool:
    """True where a chunk with a name and a size that fits stands there, or one byte later."""
    for start in (at, at + 1):
        handle.seek(start)
        head = handle.read(8)
        if len(head) < 8:
            return True
        name, length = struct.unpack(f"{order}4sI", head)
        if all(32 <= byte < 127 for byte in name) and start + 8 + length <= size + 1:
            return True
    return False


def _joined(handle: BinaryIO, size: int, data: _Data, order: str) -> Container:
    """Wav files one after the other, as one where they are of the same format."""
    parts: list[Piece] = [(data.begin, data.length)]
    at = data.begin + data.length
    while at + 44 <= size:
        handle.seek(at)
        magic = handle.read(4)
        if magic != b"RIFF":
            if magic[1:] == b"RIF":  # after a byte that makes the length even
                at += 1
                continue
            break
        following = _find_data(handle, at, size, order)
        if following is None or following.fmt[:16] != data.fmt[:16]:
            return Container("is followed by another wav file of another format")
        length = min(following.length or size, size - following.begin)
        parts.append((following.begin, length))
        at = following.begin + length
    return Container(pieces=_with_header(handle, data, parts, order))


def _with_header(handle: BinaryIO, data: _Data, parts: list[Piece], order: str) -> list[Piece]:
    """The file's own header with the true sizes in front of the samples; nothing where no header can hold them."""
    total = sum(part[1] for part in parts if isinstance(part, tuple))
    if total > _LARGEST:
        return []
    handle.seek(0)
    header = bytearray(handle.read(data.begin))
    header[4:8] = struct.pack(f"{order}I", len(header) - 8 + total)
    header[-4:] = struct.pack(f"{order}I", total)
    return [bytes(header), *parts]


def _look_into_ogg(handle: BinaryIO, size: int) -> Container:
    """Whole where its last page is whole: recorders and messengers often do not mark the last one."""
    at = last = 0
    sound = False  # a page of sound was met, so a stream that begins now follows another one
    while at + 27 < size:
        handle.seek(at)
        head = handle.read(27)
        if head[:4] != b"OggS":
            return Container("cannot be decoded: the pages of the Ogg stream do not follow each other")
        length = 27 + head[26] + sum(handle.read(head[26]))
        if at + length > size:
            break
        if not head[5] & _BEGIN_OF_STREAM:
            sound = True
        elif sound:
            return Container("holds several Ogg streams one after the other; join them as one WAV file")
        last, at = at, at + length
    if at != size:
        return Container("is cut short: the last page of the stream is missing")
    handle.seek(last)
    page = handle.read()
    if page[5] & _END_OF_STREAM:
        return Container()
    return Container(pieces=[(0, last), _last_page(page)])


def _last_page(page: bytes) -> bytes:
    """The page with the mark of the last one, without which libsndfile fails at the end of the stream."""
    marked = bytearray(page)
    marked[5] |= _END_OF_STREAM
    marked[22:26] = bytes(4)
    marked[22:26] = _checksum(marked).to_bytes(4, "little")
    return bytes(marked)


def _checksum(page: bytes | bytearray) -> int:
    """CRC-32 of an Ogg page: polynomial 0x04c11db7, from 0, neither reflected nor inverted."""
    table = _checksum_table()
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ table[value >> 24 ^ byte]
    return value


@lru_cache(maxsize=1)
def _checksum_table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        value <<= 24
        for _ in range(8):
            value = (value << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        return value

    return tuple(map(entry, range(256)))
