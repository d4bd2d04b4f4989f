"""Writing audio: the format follows the file name; a file is complete or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from amtts_core.errors import AmttsError

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


def check_audio_name(path: Path) -> None:
    """Refuses a name that cannot be written, before any work is done for it.

    Raises:
        AmttsError: unknown ending, or the path or its parent is of the wrong kind.
    """
    if path.suffix.lower() not in FORMATS:
        raise AmttsError(
            f"cannot write audio as '{path.name}': unknown ending '{path.suffix}'; known: {' '.join(FORMATS)}"
        )
    if path.is_dir():
        raise AmttsError(f"{path} is a folder; expected the name of an audio file to write")
    if path.parent.exists() and not path.parent.is_dir():
        raise AmttsError(f"{path.parent} is a file, so {path} cannot be written in it")


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
        soundfile.write(temporary, np.clip(waveform, -1, 1), sample_rate, format=kind, subtype=subtype)
        temporary.replace(path)
    except (OSError, soundfile.LibsndfileError) as error:
        temporary.unlink(missing_ok=True)
        raise AmttsError(f"{path} cannot be written: {error}") from None
