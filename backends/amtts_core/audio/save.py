"""Writing audio: the format follows the file name; a file is complete or absent."""

from __future__ import annotations

import contextlib
import shutil
import struct
from pathlib import Path

import numpy as np

from amtts_core.errors import AmttsError

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
_BLOCK = 1 << 16
"""Samples written at a time: libsndfile 1.2 crashes on minutes of Vorbis in one call."""


def check_audio_name(path: Path) -> None:
    """Refuses a name that cannot be written, before any work is done for it.

    Raises:
        AmttsError: unknown ending, or the path or its parent is of the wrong kind.
    """
    if path.suffix.lower() not in FORMATS:
        raise AmttsError(
            f"cannot write audio as '{path.name}': unknown ending '{path.suffix}'; known: {' '.join(FORMATS)}"
        )
    try:
        is_folder = path.is_dir()
        above = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:  # a name of more than 255 bytes
        raise AmttsError(f"{path} cannot be written: {error.strerror}") from None
    if is_folder:
        raise AmttsError(f"{path} is a folder; expected the name of an audio file to write")
    if not above.is_dir():
        raise AmttsError(f"{above} is a file, so {path} cannot be written in it")


def endless_wav_header(sample_rate: int) -> bytes:
    """Header of a mono 16-bit WAV whose length is not known yet, for a pipe; its sizes are the largest there are."""
    most, size = 0xFFFFFFFF, 2
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", most, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, size * sample_rate, size, 8 * size),
        *(b"data", most - 36),
    )


def write_audio(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Writes mono audio.

    Args:
        path: ends in .wav, .flac, .ogg or .mp3; parents are made.
        waveform: (T,) float in [-1, 1].
        sample_rate: Hz.

    Raises:
        AmttsError: unknown ending, or the file cannot be written.
    """
    import soundfile

    check_audio_name(path)
    kind, subtype = FORMATS[path.suffix.lower()]
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(temporary, "w", sample_rate, 1, subtype=subtype, format=kind) as file:
            for start in range(0, len(waveform), _BLOCK):
                file.write(np.clip(waveform[start : start + _BLOCK], -1, 1))
        temporary.replace(path)
    except (OSError, soundfile.LibsndfileError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        if _free(path) < 2 * len(waveform):  # libsndfile says no more than "System error"
            why = f"No space left on device ({why})"
        raise AmttsError(
            f"{path} cannot be written: {why}", remedy="Free space, or choose another --out"
        ) from None


def _free(path: Path) -> int:
    """Bytes that are free where the file would be."""
    above = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    return shutil.disk_usage(above).free
