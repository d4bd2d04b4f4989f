"""What decoding a file gives, which files and rates are taken at all, and the errors. Decodes nothing."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amtts_core.errors import AmttsError
from amtts_core.units import Hertz, Seconds

LOWEST_RATE: Hertz = 4_000
HIGHEST_RATE: Hertz = 768_000


class AudioError(AmttsError):
    """A file that cannot be read as audio."""


class AudioTooLongError(AudioError):
    """A file with more audio than was asked to be decoded."""

    def __init__(self, duration: Seconds, limit: Seconds) -> None:
        self.duration, self.limit = duration, limit
        super().__init__(f"{duration:.1f} s of audio, at most {limit:g} s are read")

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process pool with both numbers intact."""
        return (AudioTooLongError, (self.duration, self.limit))


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        samples: mean of the channels, or one of them, (T,) float32, full scale is 1.0.
        sample_rate: of the file.
        channels: of the file.
        full_scale: share of the samples of all channels that stand at or beyond full scale; 0 for floating-point
            samples that go beyond it, as nothing cut them off.
        sides_differ: the two channels hold sound that has nothing in common, as with a person on each side.
    """

    samples: np.ndarray
    sample_rate: Hertz
    channels: int
    full_scale: float
    sides_differ: bool = False


def require_regular_file(path: Path) -> None:
    """A pipe or a device would block or never end, so they are not even opened."""
    try:
        status = path.stat()
    except OSError as error:
        raise AudioError(f"cannot be opened: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError("is a folder, expected an audio file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("is not a regular file")
    if status.st_size == 0:
        raise AudioError("is empty (0 bytes)")
    if path.suffix.lower() == ".raw":
        raise AudioError("has no header (.raw); convert it to wav or flac")
