"""The frames of an MP3 file, found by walking over them: its true length, and any part of it without a search.

The header of an MP3 may say nothing of its length, or that of its first part alone, and a decoder that estimates it
stops too early. Here every frame is counted. What decoders get is a file with a right header in front of the frames
that are wanted, without the junk between them.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.pieces import Piece
from amtts_core.units import Hertz, Seconds

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_DECODER_DELAY = 529  # samples that decoders add to the encoder's delay
_LAME_TAG = 36  # bytes
_PREROLL = 32  # frames in front of a cut: what is said in a frame may begin in those before it
_CUT_SHORT: Seconds = 0.1
_MARKS = (b"Xing", b"Info")
_KEPT_ENDS = (b"TAG", b"APET", b"LYRI", b"ID3")
_MOST_JUNK = 1 << 22  # bytes that are searched for the next frame


@dataclass(frozen=True)
class Frames:
    """Where the frames of a file stand.

    Attributes:
        offsets: (frames,) int64, of all frames that carry sound.
        lengths: (frames,) int64, bytes.
        rate: of the samples.
        channels: 1 or 2.
        samples: in a frame.
        header: the first frame's four bytes.
        delay: samples at the start that are no part of the recording: the encoder's delay where the file names it, and
            that of every decoder.
        padding: samples at the end that are no part of it.
        announced: frames that the header names; None where it names none.
        plain: the header is right and nothing stands between the frames, so that any decoder reads the file well.
    """

    offsets: np.ndarray
    lengths: np.ndarray
    rate: Hertz
    channels: int
    samples: int
    header: bytes
    delay: int
    padding: int
    announced: int | None
    plain: bool

    @property
    def total(self) -> int:
        """Samples of the recording."""
        return max(0, len(self.offsets) * self.samples - self.delay - self.padding)


def read_parts(path: Path) -> list[Frames]:
    """The frames of a file; remembered, as cuts of one recording ask for them again and again.

    Raises:
        AudioError: no frames, or fewer than the header announces.
    """
    status = path.stat()
    return _remembered(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _remembered(path: Path, size: int, changed: int) -> list[Frames]:
    """Size and time of the last change tell that it is the same file."""
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return find_parts(content)


def find_parts(content: bytes | mmap.mmap) -> list[Frames]:
    """The frames of an MP3 file's content: one part, or several where files were joined that each say their length.

    Raises:
        AudioError: no frames, or fewer than the header announces.
    """
    offsets, lengths, tags = _walk(content)
    if not offsets:
        raise AudioError("cannot be decoded: no frame of MP3 sound was found")
    about = _About.of(content[offsets[0] : offsets[0] + 4])
    rest = offsets[-1] + lengths[-1]
    if _next_frame(content, rest, b"") is not None:
        before = len(offsets) * about.samples / about.rate
        raise AudioError(
            f"goes on with sound of another sample rate after {before:.2f} s; decode it to WAV first"
        )
    all_offsets, all_lengths = np.array(offsets), np.array(lengths)
    begins = [int(place) for place in np.searchsorted(all_offsets, tags[1:])]
    edges = [0, *begins, len(offsets)]
    first_tag = tags[0] if tags and tags[0] < offsets[0] else None
    parts = []
    for number, (begin, end) in enumerate(zip(edges, edges[1:], strict=False)):
        tag = first_tag if number == 0 else tags[number]
        if end > begin:
            parts.append(_part(content, all_offsets[begin:end], all_lengths[begin:end], tag, about))
    if len(parts) == 1 and first_tag is not None:
        plain = parts[0].announced == len(offsets) and first_tag == _after_tag(content, 0)
        return [replace(parts[0], plain=plain and rest - offsets[0] == sum(lengths))]
    return parts


def _part(
    content: bytes | mmap.mmap, offsets: np.ndarray, lengths: np.ndarray, tag: int | None, about: _About
) -> Frames:
    """The frames that one header speaks of."""
    announced, delay, padding = None, 0, 0
    if tag is not None:
        announced, delay, padding = _tag(content[tag : tag + 256]) or (None, 0, 0)
    if announced is not None:
        missing = (announced - len(offsets)) * about.samples / about.rate
        if missing > _CUT_SHORT:
            there = len(offsets) * about.samples / about.rate
            raise AudioError(f"is cut short: {there:.2f} s of {there + missing:.2f} s")
        if len(offsets) > announced + 1:
            padding = 0  # joined files: the first one's end is not the end
    first = int(offsets[0])
    return Frames(
        offsets,
        lengths,
        about.rate,
        about.channels,
        about.samples,
        bytes(content[first : first + 4]),
        delay or _DECODER_DELAY,
        padding,
        announced,
        False,
    )


@dataclass(frozen=True)
class Cut:
    """A part of a file for a decoder.

    Attributes:
        pieces: that make an MP3 file.
        skip: decoded samples in front of the part; below 0 where so many before the first one are missing, which hold
            no sound.
        count: samples of the part.
    """

    pieces: list[Piece]
    skip: int
    count: int


def cut(frames: Frames, *, first: int, count: int | None) -> Cut:
    """The frames that hold `count` samples from sample `first`, in front of them those that they build on.

    Args:
        frames: of the file.
        first: sample of the recording, from 0.
        count: samples; None is the rest.
    """
    wanted = max(0, frames.total - first) if count is None else min(count, max(0, frames.total - first))
    raw = first + frames.delay
    begin = max(0, raw // frames.samples - _PREROLL)
    end = min(len(frames.offsets), math.ceil((raw + wanted) / frames.samples) + 1)
    offsets, lengths = frames.offsets[begin:end], frames.lengths[begin:end]
    pieces: list[Piece] = [_header_frame(frames, len(offsets), int(lengths.sum()))]
    pieces += _runs(offsets, lengths)
    return Cut(pieces, raw - begin * frames.samples - _DECODER_DELAY, wanted)


def _runs(offsets: np.ndarray, lengths: np.ndarray) -> Iterator[Piece]:
    """Frames that stand side by side as one stretch."""
    if not len(offsets):
        return
    breaks = np.flatnonzero(offsets[1:] != offsets[:-1] + lengths[:-1]) + 1
    for begin, end in zip([0, *breaks], [*breaks, len(offsets)], strict=True):
        start = int(offsets[begin])
        yield start, int(offsets[end - 1] + lengths[end - 1]) - start


def _header_frame(frames: Frames, count: int, size: int) -> bytes:
    """A frame without sound that says how many frames follow, so that no decoder estimates it.

    It carries a LAME tag without encoder delay; decoders then leave out their own delay, and nothing else.
    """
    about = _About.of(frames.header)
    head = bytearray(frames.header)
    head[1] |= 1  # no checksum
    for index in range(9, 15):
        head[2] = index << 4 | head[2] & 0x0C
        length = _frame_length(bytes(head))
        if length >= 4 + about.side + 16 + _LAME_TAG:
            break
    body = bytes(about.side) + struct.pack(">4sIII", b"Xing", 3, count, size + length)
    body += b"LAME3.100".ljust(_LAME_TAG, b"\0")
    return (bytes(head) + body).ljust(length, b"\0")


@dataclass(frozen=True)
class _About:
    """What a frame's header says of the sound."""

    version: int
    layer: int
    rate: Hertz
    channels: int
    samples: int

    @property
    def side(self) -> int:
        """Bytes between the header and the tag in a frame without sound."""
        if self.version == 3:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    @staticmethod
    def of(header: bytes) -> _About:
        version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
        samples = {3: 384, 2: 1152, 1: 1152 if version == 3 else 576}[layer]
        channels = 1 if header[3] >> 6 == 3 else 2
        return _About(version, layer, _RATES[version][header[2] >> 2 & 3], channels, samples)


@lru_cache(maxsize=4096)
def _frame_length(header: bytes) -> int:
    """Bytes of the frame that begins with a header, 0 where it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    index, rate_index = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 0 or rate_index == 3 or index in (0, 15):
        return 0
    table = _BITRATES[3, layer] if version == 3 else _BITRATES[2, 3 if layer == 3 else 2]
    bits, rate = 1000 * table[index], _RATES[version][rate_index]
    padding = header[2] >> 1 & 1
    if layer == 3:
        return (12 * bits // rate + padding) * 4
    return (144 if layer == 2 or version == 3 else 72) * bits // rate + padding


def _same_stream(header: bytes, other: bytes) -> bool:
    """True where version, layer and sample rate agree: what follows is sound of the same kind."""
    return header[1] & 0xFE == other[1] & 0xFE and header[2] & 0x0C == other[2] & 0x0C


def _walk(content: bytes | mmap.mmap) -> tuple[list[int], list[int], list[int]]:
    """Offsets and lengths of the whole frames with sound, and offsets of those that only say how many there are."""
    size = len(content)
    offsets: list[int] = []
    lengths: list[int] = []
    tags: list[int] = []
    at = _after_tag(content, 0)
    first, mark = b"", 0
    while at + 4 <= size:
        header = content[at : at + 4]
        length = _frame_length(header)
        if not (first and length and _same_stream(header, first)):
            begin = _next_frame(content, at, first)
            if begin is None:
                break
            at = begin
            header = content[at : at + 4]
            length = _frame_length(header)
            if not first:
                first, mark = header, 4 + _About.of(header).side
        if at + length > size:
            break  # the last frame is not whole
        # with a checksum the mark stands two bytes later
        said = content[at + mark : at + mark + 6]
        if (
            said[:4] in _MARKS
            or said[2:] in _MARKS
            or (not offsets and content[at + 36 : at + 40] == b"VBRI")
        ):
            tags.append(at)
        else:
            offsets.append(at)
            lengths.append(length)
        at += length
    return offsets, lengths, tags


def _next_frame(content: bytes | mmap.mmap, at: int, first: bytes) -> int | None:
    """The next place with a frame that another one follows."""
    size = len(content)
    limit = min(size, at + _MOST_JUNK)
    while at + 4 <= limit:
        if content[at : at + 3] == b"ID3" and (after := _after_tag(content, at)) > at:
            at, limit = after, min(size, after + _MOST_JUNK)
            continue
        at = content.find(b"\xff", at, limit)
        if at < 0:
            return None
        header = content[at : at + 4]
        length = _frame_length(header)
        if length and at + length <= size and (not first or _same_stream(header, first)):
            following = content[at + length : at + length + 4]
            last = at + length == size or following[:3] in (b"TAG", b"ID3") or following in _KEPT_ENDS
            if last or (_frame_length(following) and _same_stream(header, following)):
                return at
        at += 1
    return None


def _after_tag(content: bytes | mmap.mmap, at: int) -> int:
    """Where an ID3v2 tag ends; `at` where there is none."""
    while content[at : at + 3] == b"ID3" and at + 10 <= len(content):
        length = 0
        for byte in content[at + 6 : at + 10]:
            length = length << 7 | byte & 0x7F
        at = min(len(content), at + 10 + length)
    return at


def _tag(frame: bytes) -> tuple[int | None, int, int] | None:
    """Frames, delay and padding that a frame without sound announces; None for a frame with sound."""
    side = _About.of(frame).side
    for start in (4 + side, 6 + side):  # with a checksum it stands two bytes later
        if frame[start : start + 4] in (b"Xing", b"Info"):
            return _xing(frame, start)
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return int.from_bytes(frame[50:54], "big"), 0, 0
    return None


def _xing(frame: bytes, start: int) -> tuple[int | None, int, int]:
    flags = int.from_bytes(frame[start + 4 : start + 8], "big")
    at = start + 8
    announced = None
    if flags & 1:
        announced = int.from_bytes(frame[at : at + 4], "big") or None
        at += 4
    at += 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    encoder = frame[at : at + 9]
    if len(frame) < at + 24 or not encoder[:4].strip(b"\0 ") or not encoder[:4].isalnum():
        return announced, 0, 0
    packed = int.from_bytes(frame[at + 21 : at + 24], "big")
    delay, padding = packed >> 12, packed & 0xFFF
    if not delay and not padding:
        return announced, 0, 0
    return announced, delay + _DECODER_DELAY, max(0, padding - _DECODER_DELAY)
