"""Audio files to mono samples and back. Knows containers and their damage; judges no content.

A file's header is never trusted: memory follows what is decoded, not what is announced.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from amtts_core.audio.decoded import AudioError, AudioTooLongError, Decoded, require_regular_file
from amtts_core.audio.media import decode_media
from amtts_core.audio.mixdown import Mixdown
from amtts_core.audio.sound import ForeignSound, Sound, opened
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
_CUT_SHORT: Seconds = 0.1  # a file may lack this much of what its header announces
_UNKNOWN_LENGTH = 1 << 60
_FLAC_EFFORT = 0.4  # level 3 of 8: a tenth less work than the usual 5 for 1 to 3 % larger files
_FULL_SCALE = {"PCM_U8": 0.99, "PCM_S8": 0.99, "ULAW": 0.98, "ALAW": 0.98}
_ENOUGH = 1 << 17  # bytes that are left where the disk is not full
_FLOATS = ("FLOAT", "DOUBLE")
_BEYOND = 1.001  # a peak that no integer format can hold


def decode(
    path: Path,
    *,
    start: Seconds = 0.0,
    duration: Seconds | None = None,
    max_duration: Seconds = math.inf,
    data: bytes = b"",
    channel: int | None = None,
    track: int | None = None,
    languages: Sequence[str] = (),
) -> Decoded:
    """Decodes a file, or `duration` seconds of it from `start`; videos and m4a too, with the extra amtts[video].

    What a file is, its content says and not its name.

    Args:
        path: a regular file.
        start: of what is decoded.
        duration: of what is decoded; None is the rest.
        max_duration: more is refused.
        data: content of an audio file that stands inside `path`; decoded in its place.
        channel: number of the channel that is taken, from 0; None takes the mean of all.
        track: number of the sound track of a video, from 0; None takes the first one in `languages`, or the first.
        languages: names of the wanted language as media files write them, lower case, such as "am" and "amh".

    Raises:
        AudioTooLongError: more than `max_duration` seconds; read from the header first, so it costs nothing.
        AudioError: no regular file, no audio, damaged or cut short.
    """
    require_regular_file(path)
    try:
        with opened(path, data) as sound:
            return _decode(sound, start, duration, max_duration, channel)
    except ForeignSound as foreign:
        return decode_media(
            path,
            kind=str(foreign),
            start=start,
            duration=duration,
            max_duration=max_duration,
            data=data,
            channel=channel,
            track=track,
            languages=languages,
        )
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
        raise AmttsError(
            f"cannot write {path}: {_why(error, Path(temporary).parent, len(samples))}",
            remedy="Free space, or make the folder writable, and run the same command again: what is done is kept",
        ) from None
    return size


def _why(error: Exception, folder: Path, samples: int) -> str:
    """Why a file could not be written; libsndfile's own words say nothing of it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return "its folder is gone"
    return "No space left on device" if free < 2 * samples + _ENOUGH else "the encoder failed"


def _decode(
    sound: Sound, start: Seconds, duration: Seconds | None, max_duration: Seconds, channel: int | None
) -> Decoded:
    rate, announced = sound.rate, sound.total
    first = round(start * rate)
    if first and (announced is None or first >= announced):
        raise AudioError(f"ends before the clip starts at {start:.2f} s")
    wanted = None if duration is None else max(1, round(duration * rate))
    if wanted is None and announced is not None:
        wanted = announced - first
    if wanted is not None and wanted > max_duration * rate:
        raise AudioTooLongError(wanted / rate, max_duration)
    limit = wanted if wanted is not None else int(min(max_duration * rate, _UNKNOWN_LENGTH)) + 1
    mixdown, got, loud, peak = Mixdown(channel), 0, 0, 0.0
    level = _FULL_SCALE.get(sound.subtype, 0.999)
    for block in sound.read(first, limit):
        got += len(block)
        counted = block if channel is None or sound.channels == 1 else block[:, channel : channel + 1]
        low, high = (float(counted.min()), float(counted.max())) if counted.size else (0.0, 0.0)
        if not -level < low <= high < level:  # NaN, or something to count
            loud += int(np.count_nonzero(np.abs(counted) >= level))
            peak = max(peak, high, -low)
        mixdown.add(block)
    if got > max_duration * rate:
        raise AudioTooLongError(got / rate, max_duration)
    if wanted is not None and got + _CUT_SHORT * rate < wanted:
        raise AudioError(f"is cut short: {got / rate:.2f} s of {wanted / rate:.2f} s")
    if not got:
        raise AudioError("holds no samples")
    if sound.subtype in _FLOATS and peak > _BEYOND:
        loud = 0
    channels = sound.channels if channel is None else 1
    return Decoded(mixdown.result(), rate, sound.channels, loud / (got * channels), mixdown.sides_differ)
