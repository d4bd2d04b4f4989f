"""Audio files to mono samples and back. Knows containers and their damage; judges no content.

A file's header is never trusted: memory follows what is decoded, not what is announced.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import numpy as np
import soundfile

from amtts_core.audio.container import missing_data, missing_data_in
from amtts_core.audio.decoded import (
    HIGHEST_RATE,
    LOWEST_RATE,
    AudioError,
    AudioTooLongError,
    Decoded,
    require_regular_file,
)
from amtts_core.audio.media import decode_media
from amtts_core.errors import AmttsError
from amtts_core.units import Hertz, Seconds

MEDIA_SUFFIXES = frozenset(
    (
        ".mp4",
        ".m4a",
        ".m4v",
        ".mov",
        ".mkv",
        ".mka",
        ".webm",
        ".avi",
        ".3gp",
        ".aac",
        ".wma",
        ".ts",
        ".flv",
        ".mpg",
        ".amr",
    )
)
"""Files that PyAV decodes where libsndfile does not; it is the optional extra amtts[video]."""
_BLOCK = 1 << 20  # samples over all channels that are decoded at a time
_CUT_SHORT: Seconds = 0.1  # a file may lack this much of what its header announces
_UNKNOWN_LENGTH = 1 << 60
_FLAC_EFFORT = 0.4  # level 3 of 8: a tenth less work than the usual 5 for 1 to 3 % larger files
_FULL_SCALE = {"PCM_U8": 0.99, "PCM_S8": 0.99, "ULAW": 0.98, "ALAW": 0.98}


def decode(
    path: Path,
    *,
    start: Seconds = 0.0,
    duration: Seconds | None = None,
    max_duration: Seconds = math.inf,
    data: bytes = b"",
) -> Decoded:
    """Decodes a file, or `duration` seconds of it from `start`; videos and m4a too, with the extra amtts[video].

    Args:
        path: a regular file.
        start: of what is decoded.
        duration: of what is decoded; None is the rest.
        max_duration: more is refused.
        data: content of an audio file that stands inside `path`; decoded in its place.

    Raises:
        AudioTooLongError: more than `max_duration` seconds; read from the header first, so it costs nothing.
        AudioError: no regular file, no audio, damaged or cut short.
    """
    require_regular_file(path)
    try:
        with soundfile.SoundFile(io.BytesIO(data) if data else path) as file:
            lacking = missing_data_in(io.BytesIO(data)) if data else missing_data(path)
            return _decode(file, lacking, start, duration, max_duration)
    except soundfile.SoundFileError as error:
        if not data and path.suffix.lower() in MEDIA_SUFFIXES:
            return decode_media(path, start=start, duration=duration, max_duration=max_duration)
        said = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise AudioError(f"cannot be decoded: {said}") from None
    except OSError as error:
        raise AudioError(f"cannot be opened: {error.strerror}") from None


def read_audio(
    path: Path, *, sample_rate: Hertz, offset: Seconds = 0.0, duration: Seconds | None = None
) -> np.ndarray:
    """The audio of a file as mono at `sample_rate`, (T,) float32.

    Raises:
        AudioError: missing or unreadable; names the file.
    """
    try:
        decoded = decode(path, start=offset, duration=duration)
    except AudioError as error:
        raise AudioError(f"audio file {path}: {error.message}") from None
    return resample(decoded.samples, decoded.sample_rate, sample_rate)


def resample(samples: np.ndarray, rate: Hertz, to: Hertz) -> np.ndarray:
    """The samples at another rate, (T,) float32; the same array where the rates are equal."""
    if rate == to or not len(samples):
        return samples
    import soxr

    out: np.ndarray = soxr.resample(samples.astype(np.float32, copy=False), rate, to)
    return out


class _Unsynced(soundfile.SoundFile):
    """A file that is closed without waiting for the disk.

    A killed process loses nothing by that. After a power cut a file may be short or empty; whoever relies on it
    compares its size with the one that was noted.
    """

    def flush(self) -> None:
        """Leaves it to closing, which hands everything to the system."""


def write_flac(path: Path, samples: np.ndarray, sample_rate: Hertz) -> int:
    """Writes mono 16-bit FLAC so that the file appears whole or not at all.

    Args:
        path: replaced where it exists.
        samples: (T,) float32; beyond full scale is clipped.
        sample_rate: of the samples.

    Returns:
        The file's size in bytes.

    Raises:
        AmttsError: the file cannot be written.
    """
    values = np.clip(samples, -1.0, 1.0) * np.float32(32767)
    np.rint(values, out=values)
    temporary = f"{path}.part"
    try:
        with _Unsynced(
            temporary, "w", sample_rate, 1, format="FLAC", subtype="PCM_16", compression_level=_FLAC_EFFORT
        ) as file:
            file.write(values.astype(np.int16))
        size = os.stat(temporary).st_size
        os.replace(temporary, path)
    except (soundfile.SoundFileError, OSError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise AmttsError(
            f"cannot write {path}: {why}", remedy="Is the disk full or the folder read-only?"
        ) from None
    return size


def _decode(
    file: soundfile.SoundFile, lacking: str, start: Seconds, duration: Seconds | None, max_duration: Seconds
) -> Decoded:
    rate, channels = file.samplerate, file.channels
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"has a sample rate of {rate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE}")
    if lacking:
        raise AudioError(f"is cut short: {lacking}")
    announced = file.frames if 0 < file.frames < _UNKNOWN_LENGTH else None
    first = round(start * rate)
    if first and (announced is None or first >= announced):
        raise AudioError(f"ends before the clip starts at {start:.2f} s")
    wanted = None if duration is None else max(1, round(duration * rate))
    if wanted is None and announced is not None:
        wanted = announced - first
    if wanted is not None and wanted > max_duration * rate:
        raise AudioTooLongError(wanted / rate, max_duration)
    if first:
        file.seek(first)
    limit = wanted if wanted is not None else int(min(max_duration * rate, _UNKNOWN_LENGTH)) + 1
    blocks, got, loud = [], 0, 0
    level = _FULL_SCALE.get(file.subtype, 0.999)
    step = max(1, _BLOCK // channels)
    while got < limit:
        block = file.read(min(step, limit - got), dtype="float32", always_2d=True)
        if not len(block):
            break
        got += len(block)
        if not -level < block.min() <= block.max() < level:  # NaN, or something to count
            loud += int(np.count_nonzero(np.abs(block) >= level))
        blocks.append(block[:, 0] if channels == 1 else block.mean(axis=1))
    if got > max_duration * rate:
        raise AudioTooLongError(got / rate, max_duration)
    if wanted is not None and got + _CUT_SHORT * rate < wanted:
        raise AudioError(f"is cut short: {got / rate:.2f} s of {wanted / rate:.2f} s")
    if not blocks:
        raise AudioError("holds no samples")
    return Decoded(
        blocks[0] if len(blocks) == 1 else np.concatenate(blocks), rate, channels, loud / (got * channels)
    )
