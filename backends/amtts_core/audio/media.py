"""Sound of videos and of what libsndfile cannot read, through PyAV. The only module that imports `av`.

A file of somebody else's must not make FFmpeg open anything but itself: playlists and network protocols are refused.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from amtts_core.audio.decoded import (
    HIGHEST_RATE,
    LOWEST_RATE,
    AudioError,
    AudioTooLongError,
    Decoded,
)
from amtts_core.audio.mixdown import Mixdown, mix_block
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


def decode_media(
    path: Path,
    *,
    kind: str = "",
    start: Seconds = 0.0,
    duration: Seconds | None = None,
    max_duration: Seconds = math.inf,
    data: bytes = b"",
    channel: int | None = None,
    track: int | None = None,
    languages: Sequence[str] = (),
) -> Decoded:
    """Decodes the sound of a media file, or `duration` seconds of it from `start`; see `io.decode`.

    Args:
        path: of the file.
        kind: what it is, for people.
        start: of what is decoded.
        duration: of what is decoded; None is the rest.
        max_duration: more is refused.
        data: content of a media file, decoded in place of the file where there is some.
        channel: number of the channel that is taken, from 0; None takes the mean of all.
        track: number of the sound track, from 0; None takes the first one in `languages`, or the first.
        languages: names of the wanted language as media files write them, lower case, such as "am" and "amh".

    Raises:
        AudioTooLongError: more than `max_duration` seconds.
        AudioError: not decodable, no sound, or it ends before `start`.
    """
    if duration is not None and duration > max_duration:
        raise AudioTooLongError(duration, max_duration)
    with _opened(path, data=data, kind=kind, track=track, languages=languages) as (container, stream):
        rate = _rate(stream)
        announced = _announced(container, stream)
        if duration is None and announced is not None and announced - start > max_duration:
            raise AudioTooLongError(announced - start, max_duration)
        try:
            part = _cut(container, stream, rate, start, duration, max_duration, channel)
        except _Missed:  # the container has no usable index; then from the beginning
            with _opened(path, data=data, kind=kind, track=track, languages=languages) as (again, same):
                part = _cut(again, same, rate, start, duration, max_duration, channel, seek=False)
    samples = part.samples
    if not len(samples):
        why = f"ends before the clip starts at {start:.2f} s" if start else "holds no samples"
        raise AudioError(why)
    if duration is not None and len(samples) / rate + 0.1 < duration:
        raise AudioError(f"is cut short: {len(samples) / rate:.2f} s of {duration:.2f} s")
    return part


@contextmanager
def media_blocks(
    path: Path, *, channel: int | None = None, track: int | None = None
) -> Iterator[tuple[Hertz, Iterator[np.ndarray]]]:
    """The rate of a media file and its sound from start to end as mono blocks, (T,) float32.

    Raises:
        AudioError: not decodable; also while the blocks are read.
    """
    with _opened(path, track=track) as (container, stream):
        rate = _rate(stream)
        yield rate, _from_zero(_frames(container, stream, rate), rate, channel)


def sound_tracks(path: Path) -> list[str]:
    """The languages that the sound tracks of a media file name, "" where one names none; empty where it has none."""
    try:
        with _opened(path) as (container, _):
            return [(track.language or "").casefold() for track in container.streams.audio]
    except AudioError:
        return []


def media_length(path: Path) -> Seconds | None:
    """How long the sound of a media file is by what the file says; None where it says nothing, or is no such file."""
    try:
        with _opened(path) as (container, stream):
            return _announced(container, stream)
    except AudioError:
        return None


def embedded_captions(path: Path) -> list[tuple[str, list[tuple[Seconds, Seconds, str]]]]:
    """Language, and start, end and text of each caption, of the tracks of captions in a media file.

    Raises:
        AudioError: it cannot be read.
    """
    import av

    out = []
    with _opened(path) as (container, _):
        for track in container.streams.subtitles:
            name = track.codec_context.name if track.codec_context is not None else ""
            out.append(((track.language or "").casefold(), name, track.index, track.time_base))
    captions: dict[int, list[tuple[Seconds, Seconds, str]]] = {index: [] for _, _, index, _ in out}
    names = {index: (name, float(base or 0)) for _, name, index, base in out}
    if not out:
        return []
    with _opened(path) as (container, _):
        try:
            for packet in container.demux([container.streams[index] for index in captions]):
                name, base = names[packet.stream.index]
                text = _caption_text(bytes(packet), name)
                if text and packet.pts is not None and packet.duration:
                    start = packet.pts * base
                    captions[packet.stream.index].append((start, start + packet.duration * base, text))
        except av.FFmpegError:
            raise AudioError("cannot be read to its end: it is damaged") from None
    return [(language, captions[index]) for language, _, index, _ in out]


def _caption_text(data: bytes, kind: str) -> str:
    """The text in a packet of captions; empty for captions that are pictures."""
    if kind == "mov_text":
        return data[2 : 2 + int.from_bytes(data[:2], "big")].decode("utf-8", "replace").strip()
    text = data.decode("utf-8", "replace")
    if kind in ("ass", "ssa"):
        text = text.split(",", 8)[-1].replace("\\N", "\n")
    return text.strip() if kind in ("subrip", "srt", "text", "webvtt", "ass", "ssa") else ""


def _from_zero(
    frames: Iterator[tuple[float, np.ndarray]], rate: Hertz, channel: int | None
) -> Iterator[np.ndarray]:
    """Blocks of about a second on the file's clock: a stream that starts late or pauses is filled with silence."""
    at = 0
    waiting: list[np.ndarray] = []
    size = 0
    for time, planes in frames:
        mono = mix_block(planes.T, channel)
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
    channel: int | None,
    *,
    seek: bool = True,
) -> Decoded:
    if start > _PREROLL and seek:
        import av

        try:
            base = float(stream.time_base or 1e-6)
            container.seek(int((start - _PREROLL) / base), stream=stream)
        except av.FFmpegError:
            raise _Missed from None
    first = round(start * rate)
    limit = math.inf if duration is None else max(1, round(duration * rate))
    mixdown, before = Mixdown(channel), np.zeros(0, np.float32)
    got, loud, channels, expected = 0, 0, 1, -1
    for time, planes in _frames(container, stream, rate):
        at = round(time * rate)
        if expected < 0 and at > first and start > _PREROLL and seek:
            raise _Missed
        if expected >= 0 and abs(at - expected) < 0.02 * rate:
            at = expected  # rounding of the container's clock
        expected = at + planes.shape[1]
        skip = max(0, first + got - at)
        if not got and at > first:  # the sound starts late in the file
            before = np.zeros(int(min(at - first, limit)), np.float32)
            got = len(before)
        part = planes[:, skip : skip + int(min(limit - got, planes.shape[1]))]
        if part.shape[1]:
            channels = part.shape[0]
            loud += int(np.count_nonzero(np.abs(part) >= _FULL_SCALE)) // channels
            mixdown.add(part.T)
            got += part.shape[1]
        if got > max_duration * rate:
            raise AudioTooLongError(got / rate, max_duration)
        if got >= limit:
            break
    samples = np.concatenate([before, mixdown.result()])
    return Decoded(samples, rate, channels, loud / max(1, len(samples)), mixdown.sides_differ)


@contextmanager
def _opened(
    path: Path,
    *,
    data: bytes = b"",
    kind: str = "",
    track: int | None = None,
    languages: Sequence[str] = (),
) -> Iterator[tuple[InputContainer, AudioStream]]:
    av = _av(path, kind)
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    source = io.BytesIO(data) if data else str(path)
    try:
        with av.open(source, options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioError("has no sound track")
            yield container, _track(container, track, languages)
    except av.FFmpegError:
        began = f"it begins as {kind}, but what follows is damaged" if kind else "it is damaged"
        raise AudioError(f"cannot be decoded: {began}") from None


def _track(container: InputContainer, number: int | None, languages: Sequence[str]) -> AudioStream:
    """The sound track with a number; without a number the first in one of the languages, otherwise the first."""
    tracks = list(container.streams.audio)
    if number is not None:
        if number >= len(tracks):
            raise AudioError(f"has {len(tracks)} sound track(s), but track {number + 1} is asked for")
        return tracks[number]
    own = [track for track in tracks if (track.language or "").casefold() in languages]
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


def _av(path: Path, kind: str) -> ModuleType:
    try:
        import av
    except ImportError:
        raise AmttsError(
            f"{path.name}{f' is {kind} and' if kind else ''} needs PyAV to be decoded, which is not installed",
            remedy="Install it with: pip install 'amtts[video]'",
        ) from None
    return av
