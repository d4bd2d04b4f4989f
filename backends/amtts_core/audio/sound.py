"""Opens what libsndfile decodes, by content and not by name, and knows how long it really is.

Wav files with wrong sizes and MP3 files get a right header in memory; see `container` and `mp3`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from amtts_core.audio.container import Container, look_into
from amtts_core.audio.decoded import HIGHEST_RATE, LOWEST_RATE, AudioError
from amtts_core.audio.kinds import kind_of, pointer
from amtts_core.audio.mp3 import Cut, Frames, cut, find_parts, read_parts
from amtts_core.audio.pieces import as_file
from amtts_core.audio.quiet import quiet_stderr
from amtts_core.units import Hertz

_UNKNOWN_LENGTH = 1 << 60
_BLOCK = 1 << 20  # samples over all channels that are decoded at a time


class ForeignSound(Exception):
    """Sound that libsndfile does not decode; its name for people is the message."""


@dataclass(frozen=True)
class Sound:
    """An opened file.

    Attributes:
        rate: of the samples.
        channels: of the file.
        total: samples of a channel; None where only decoding shows it.
        subtype: how samples are stored, as libsndfile calls it.
    """

    rate: Hertz
    channels: int
    total: int | None
    subtype: str
    read: Callable[[int, int | None], Iterator[np.ndarray]]
    """Blocks, (T, channels) float32, from a first sample, at most so many of them or all that follow."""


@contextmanager
def opened(path: Path, data: bytes = b"") -> Iterator[Sound]:
    """Opens a file, or the content of one.

    Args:
        path: of the file.
        data: content; opened in place of the file where there is some.

    Raises:
        ForeignSound: libsndfile cannot decode it, but FFmpeg may.
        AudioError: damaged, cut short, or no sound at all.
    """
    with _binary(path, data) as handle:
        head = handle.read(4096)
        handle.seek(0)
        kind, name = kind_of(head)
        if kind == "media":
            raise ForeignSound(name)
        if kind in ("text", "other") and (pointer(head) or name not in ("text", "no known kind of file")):
            raise AudioError(pointer(head) or f"cannot be decoded: it is {name}")
        if kind == "mp3":
            yield _mp3(handle, find_parts(data) if data else read_parts(path), handle if data else path)
            return
        walked = kind == "ogg" and not data  # page by page, which cuts of one recording need not repeat
        container = _container(path, *_version(path)) if walked else look_into(handle)
        if container.problem:
            raise AudioError(container.problem)
        handle.seek(0)
        source = as_file(handle, container.pieces) if container.pieces else handle if data else path
        try:
            file = soundfile.SoundFile(source)
        except soundfile.SoundFileError:
            raise _undecodable(kind, name) from None
        with file:
            if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
                raise AudioError(
                    f"has a sample rate of {file.samplerate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE}"
                )
            total = file.frames if 0 < file.frames < _UNKNOWN_LENGTH else None
            yield Sound(file.samplerate, file.channels, total, file.subtype, _reader(file))


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _container(path: Path, size: int, changed: int) -> Container:
    """Remembered for cuts of one recording; size and time of the last change tell that it is the same file."""
    with path.open("rb") as handle:
        return look_into(handle)


def _undecodable(kind: str, name: str) -> Exception:
    if kind in ("wav", "ogg"):
        return ForeignSound(name)  # maybe in a coding that libsndfile does not know
    if kind == "text":
        return AudioError("cannot be decoded: it is text and no audio")
    if kind == "other":
        return AudioError("cannot be decoded: it is no known kind of audio")
    return AudioError(f"cannot be decoded: it begins as {name}, but what follows is damaged")


@contextmanager
def _binary(path: Path, data: bytes) -> Iterator[BinaryIO]:
    if data:
        yield io.BytesIO(data)
        return
    try:
        handle = path.open("rb")
    except OSError as error:
        raise AudioError(f"cannot be opened: {error.strerror}") from None
    with handle:
        yield handle


def _reader(file: soundfile.SoundFile) -> Callable[[int, int | None], Iterator[np.ndarray]]:
    def read(first: int, count: int | None) -> Iterator[np.ndarray]:
        try:
            if first or file.tell():
                file.seek(first)
            yield from _blocks(file, count)
        except soundfile.SoundFileError:
            raise AudioError("cannot be decoded: it is damaged") from None

    return read


def _blocks(file: soundfile.SoundFile, count: int | None, *, quiet: bool = False) -> Iterator[np.ndarray]:
    step = max(1, _BLOCK // file.channels)
    got = 0
    while count is None or got < count:
        size = step if count is None else min(step, count - got)
        with quiet_stderr() if quiet else contextlib.nullcontext():
            block = file.read(size, dtype="float32", always_2d=True)
        if not len(block):
            return
        got += len(block)
        yield block


def _mp3(handle: BinaryIO, parts: Sequence[Frames], source: BinaryIO | Path) -> Sound:
    def read(first: int, count: int | None) -> Iterator[np.ndarray]:
        left = sum(part.total for part in parts) - first if count is None else count
        for part in parts:
            if first >= part.total:
                first -= part.total
                continue
            if left <= 0:
                return
            for block in _mp3_part(handle, part, source, first, min(left, part.total - first)):
                left -= len(block)
                yield block
            first = 0

    about = parts[0]
    return Sound(about.rate, about.channels, sum(part.total for part in parts), "MPEG_LAYER_III", read)


def _mp3_part(
    handle: BinaryIO, frames: Frames, source: BinaryIO | Path, first: int, count: int
) -> Iterator[np.ndarray]:
    whole = frames.plain and not first and count >= frames.total
    part = Cut([], 0, count) if whole else cut(frames, first=first, count=count)
    if not part.count:
        return
    handle.seek(0)
    try:
        with quiet_stderr():
            file = soundfile.SoundFile(source if whole else as_file(handle, part.pieces))
        with file:
            if part.skip < 0:
                yield np.zeros((min(-part.skip, part.count), file.channels), np.float32)
            left, skip = part.count + min(0, part.skip), max(0, part.skip)
            for block in _blocks(file, skip + left, quiet=True):
                yield block[skip:]
                skip = max(0, skip - len(block))
    except soundfile.SoundFileError:
        raise AudioError("cannot be decoded: it begins as MP3, but what follows is damaged") from None
