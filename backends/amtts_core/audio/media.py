"""Sound of videos and of what libsndfile cannot read, through PyAV. The only module that imports `av`.

A file of somebody else's must not make FFmpeg open anything but itself: playlists and network protocols are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from amtts_core.audio.decoded import (
    HIGHEST_RATE,
    LOWEST_RATE,
    AudioError,
    AudioTooLongError,
    Decoded,
    require_regular_file,
)
from amtts_core.errors import AmttsError
from amtts_core.units import Hertz, Seconds

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,"
    "aac,amr,mp3,ogg,wav,w64,flac,caf,aiff,au"
)
_BLOCK: Seconds = 10.0
_PREROLL: Seconds = 0.25  # decoded before a cut and thrown away, so that the decoder is settled
_FULL_SCALE = 0.999
_LANGUAGES = ("am", "amh", "amharic")


def decode_media(
    path: Path, *, start: Seconds = 0.0, duration: Seconds | None = None, max_duration: Seconds = math.inf
) -> Decoded:
    """Decodes the sound of a media file, or `duration` seconds of it from `start`; see `io.decode`.

    Raises:
        AudioTooLongError: more than `max_duration` seconds.
        AudioError: not decodable, no sound, or it ends before `start`.
    """
    if duration is not None and duration > max_duration:
        raise AudioTooLongError(duration, max_duration)
    with _opened(path) as (container, stream):
        rate = _rate(stream)
        announced = _announced(container, stream)
        if duration is None and announced is not None and announced - start > max_duration:
            raise AudioTooLongError(announced - start, max_duration)
        try:
            samples, loud, channels = _cut(container, stream, rate, start, duration, max_duration)
        except _Missed:  # the container has no usable index; then from the beginning
            with _opened(path) as (again, same):
                samples, loud, channels = _cut(again, same, rate, start, duration, max_duration, seek=False)
    if not len(samples):
        why = f"ends before the clip starts at {start:.2f} s" if start else "holds no samples"
        raise AudioError(why)
    if duration is not None and len(samples) / rate + 0.1 < duration:
        raise AudioError(f"is cut short: {len(samples) / rate:.2f} s of {duration:.2f} s")
    return Decoded(samples, rate, channels, loud / len(samples))


@contextmanager
def sound_blocks(path: Path) -> Iterator[tuple[Hertz, Iterator[np.ndarray]]]:
    """The rate of any audio or video file, and its sound from start to end as mono blocks, (T,) float32.

    Raises:
        AudioError: not decodable; also while the blocks are read.
    """
    require_regular_file(path)
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError):
        with _opened(path) as (container, stream):
            rate = _rate(stream)
            yield rate, _from_zero(_frames(container, stream, rate), rate)
        return
    with closing(file):
        if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
            raise AudioError(f"has a sample rate of {file.samplerate} Hz")
        blocks = file.blocks(round(_BLOCK * file.samplerate), dtype="float32", always_2d=True)
        yield file.samplerate, (block.mean(axis=1) for block in blocks)


def _from_zero(frames: Iterator[tuple[float, np.ndarray]], rate: Hertz) -> Iterator[np.ndarray]:
    """Blocks of about a second on the file's clock: a stream that starts late or pauses is filled with silence."""
    at = 0
    waiting: list[np.ndarray] = []
    size = 0
    for time, planes in frames:
        mono = planes.mean(axis=0, dtype=np.float32)
        missing = round(time * rate) - at
        if missing < -len(mono):
            continue
        if missing < 0:
            mono = mono[-missing:]
        elif missing > 0.02 * rate:
            if waiting:
                yield np.concatenate(waiting)
                waiting, size = [], 0
            for begin in range(0, missing, round(_BLOCK * rate)):
                yield np.zeros(min(round(_BLOCK * rate), missing - begin), np.float32)
            at += missing
        at += len(mono)
        waiting.append(mono)
        size += len(mono)
        if size >= rate:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


class _Missed(Exception):
    """A seek that went past the wanted time."""


def _cut(
    container: InputContainer,
    stream: AudioStream,
    rate: Hertz,
    start: Seconds,
    duration: Seconds | None,
    max_duration: Seconds,
    *,
    seek: bool = True,
) -> tuple[np.ndarray, int, int]:
    if start > _PREROLL and seek:
        import av

        try:
            base = float(stream.time_base or 1e-6)
            container.seek(int((start - _PREROLL) / base), stream=stream)
        except av.FFmpegError:
            raise _Missed from None
    first = round(start * rate)
    limit = math.inf if duration is None else max(1, round(duration * rate))
    blocks: list[np.ndarray] = []
    got, loud, channels, expected = 0, 0, 1, -1
    for time, planes in _frames(container, stream, rate):
        at = round(time * rate)
        if not blocks and at > first and start > _PREROLL and seek:
            raise _Missed
        if blocks and abs(at - expected) < 0.02 * rate:
            at = expected  # rounding of the container's clock
        expected = at + planes.shape[1]
        skip = max(0, first + got - at)
        if not blocks and at > first:  # the sound starts late in the file
            blocks.append(np.zeros(int(min(at - first, limit)), np.float32))
            got = len(blocks[0])
        part = planes[:, skip : skip + int(min(limit - got, planes.shape[1]))]
        if part.shape[1]:
            channels = part.shape[0]
            loud += int(np.count_nonzero(np.abs(part) >= _FULL_SCALE)) // channels
            blocks.append(part.mean(axis=0, dtype=np.float32))
            got += part.shape[1]
        if got > max_duration * rate:
            raise AudioTooLongError(got / rate, max_duration)
        if got >= limit:
            break
    return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), loud, channels


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    av = _av(path)
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        with av.open(str(path), options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioError("has no sound track")
            stream = _track(container)
            yield container, stream
    except av.FFmpegError as error:
        raise AudioError(f"cannot be decoded: {error.strerror}") from None


def _track(container: InputContainer) -> AudioStream:
    """The sound track in Amharic where tracks name their language, otherwise the first."""
    tracks = list(container.streams.audio)
    own = [track for track in tracks if (track.language or "").casefold() in _LANGUAGES]
    return (own or tracks)[0]


def _rate(stream: AudioStream) -> Hertz:
    if stream.codec_context is None:
        raise AudioError("has sound of an unknown kind")
    rate = int(stream.rate or 0)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"has a sample rate of {rate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE}")
    return rate


def _announced(container: InputContainer, stream: AudioStream) -> Seconds | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration is not None else None


def _frames(
    container: InputContainer, stream: AudioStream, rate: Hertz
) -> Iterator[tuple[Seconds, np.ndarray]]:
    """Time and samples of each decoded frame, (channels, T) float32 at `rate`; a damaged packet is passed over."""
    import av

    resampler: Any = None
    shape: tuple[object, ...] = ()
    clock = 0.0
    base = float(stream.time_base or 0)
    origin = 0.0 if stream.start_time is None else min(0.0, stream.start_time * base)
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue  # its time is filled with silence
        for frame in frames:
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if now != shape:
                resampler, shape = av.AudioResampler("fltp", frame.layout.name, rate), now
            time = clock if frame.pts is None or not base else frame.pts * float(frame.time_base or base)
            time -= origin
            for out in resampler.resample(frame):
                planes = out.to_ndarray()
                yield time, planes
                time += planes.shape[1] / rate
            clock = time


def _av(path: Path) -> ModuleType:
    try:
        import av
    except ImportError:
        raise AmttsError(
            f"{path.name} needs PyAV to be decoded, which is not installed",
            remedy="Install it with: pip install 'amtts[video]'",
        ) from None
    return av
