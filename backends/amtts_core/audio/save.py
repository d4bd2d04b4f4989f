"""Writing audio: the format follows the file name; a file is complete or absent."""

from __future__ import annotations

import contextlib
import errno
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from amtts_core.errors import AmttsError, nearest
from amtts_core.units import Decibels, Hertz

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".m4a": ("MP4", "AAC"),
    ".ulaw": ("RAW", "ULAW"),
    ".alaw": ("RAW", "ALAW"),
}
"""Ending -> container and coding. `.ulaw` and `.alaw` are bare samples at 8 kHz, as telephone switches play them."""
RATES: dict[str, tuple[Hertz, ...]] = {
    ".opus": (8000, 12000, 16000, 24000, 48000),
    ".mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ".m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
}
"""Rates that a format knows; speech of another one is written at the next higher."""
ENCODINGS = {"pcm16": "PCM_16", "pcm24": "PCM_24", "float": "FLOAT", "mulaw": "ULAW", "alaw": "ALAW"}
"""Codings of a .wav file."""
TELEPHONE: Hertz = 8000
CEILING: Decibels = -1.0
"""Highest peak of speech that is brought to a loudness, dBFS."""
_BLOCK = 1 << 16
"""Samples written at a time: libsndfile 1.2 crashes on minutes of Vorbis in one call."""


@dataclass(frozen=True, kw_only=True)
class AudioOptions:
    """How speech becomes a file.

    Attributes:
        sample_rate: Hz; None keeps the voice's, or 8000 for telephone codings.
        loudness: LUFS; None leaves the voice's own.
        encoding: of a .wav file, see `ENCODINGS`; empty is pcm16.
    """

    sample_rate: Hertz | None = None
    loudness: Decibels | None = None
    encoding: str = ""

    def __post_init__(self) -> None:
        if self.sample_rate is not None and not 4000 <= self.sample_rate <= 192_000:
            raise AmttsError(f"sample rate {self.sample_rate} Hz is out of range; expected 4000 to 192000")
        if self.loudness is not None and not -60 <= self.loudness <= 0:
            raise AmttsError(
                f"loudness {self.loudness:g} LUFS is out of range; expected -60 to 0, such as -23"
            )
        if self.encoding and self.encoding not in ENCODINGS:
            raise AmttsError(
                f"encoding '{self.encoding}' is unknown{nearest(self.encoding, ENCODINGS)}; "
                f"known: {', '.join(ENCODINGS)}"
            )

    def check(self, ending: str) -> None:
        """Refuses what a format cannot hold.

        Raises:
            AmttsError: an encoding of another format, or a rate that it does not know.
        """
        if self.encoding and ending != ".wav":
            raise AmttsError(f"encoding '{self.encoding}' is one of .wav files, not of {ending}")
        rates = RATES.get(ending, ())
        if self.sample_rate is not None and rates and self.sample_rate not in rates:
            raise AmttsError(
                f"{ending} cannot hold {self.sample_rate} Hz; it can: {', '.join(map(str, rates))}"
            )
        if ending == ".m4a":
            _require_av()

    def rate_of(self, own: Hertz, ending: str) -> Hertz:
        """The rate of the file for a voice of rate `own`."""
        if self.sample_rate is not None:
            return self.sample_rate
        if ending in (".ulaw", ".alaw") or self.encoding in ("mulaw", "alaw"):
            return TELEPHONE
        rates = RATES.get(ending, (own,))
        return own if own in rates else next((rate for rate in rates if rate > own), rates[-1])


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
    return _wav_header(sample_rate, 0xFFFFFFFF - 36)


def wav_header(sample_rate: int, samples: int) -> bytes:
    """Header of a mono 16-bit WAV of so many samples."""
    return _wav_header(sample_rate, min(2 * samples, 0xFFFFFFFF - 36))


def _wav_header(sample_rate: int, data: int) -> bytes:
    size = 2
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", data + 36, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, size * sample_rate, size, 8 * size),
        *(b"data", data),
    )


def write_audio(
    path: Path, waveform: np.ndarray, sample_rate: int, *, options: AudioOptions | None = None
) -> None:
    """Writes mono audio.

    Args:
        path: its ending is one of `FORMATS`; parents are made.
        waveform: (T,) float in [-1, 1].
        sample_rate: of the waveform, Hz.
        options: rate, loudness and coding of the file.

    Raises:
        AmttsError: unknown ending, an option that does not fit it, or the file cannot be written.
    """
    with AudioWriter(path, sample_rate, options=options) as writer:
        writer.write(waveform)


class _Sink(Protocol):
    def write(self, samples: np.ndarray) -> None: ...

    def close(self) -> None: ...


class AudioWriter:
    """Writes mono audio as it comes, into a hidden file that becomes `path` when all is there.

    Args:
        path: its ending is one of `FORMATS`; parents are made.
        sample_rate: of the samples, Hz.
        options: rate, loudness and coding of the file; a loudness is known at the end only, so all is held till then.

    Raises:
        AmttsError: unknown ending, an option that does not fit it, or the file cannot be written; nothing is left then.
    """

    def __init__(self, path: Path, sample_rate: Hertz, *, options: AudioOptions | None = None) -> None:
        check_audio_name(path)
        self._options = options or AudioOptions()
        self._options.check(path.suffix.lower())
        self._path, self._rate = path, sample_rate
        self._wanted = self._options.rate_of(sample_rate, path.suffix.lower())
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._held: list[np.ndarray] = []
        self._resampler: Any = None
        self._samples = 0
        if self._wanted != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(sample_rate, self._wanted, 1, dtype="float32")
        with self._telling():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.open("wb").close()  # raises with the reason, where libsndfile says "System error"
            self._sink = _open_sink(self._temporary, path.suffix.lower(), self._wanted, self._options)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()

    def write(self, samples: np.ndarray) -> None:
        """Takes (T,) float samples in [-1, 1]."""
        self._samples += len(samples)
        if self._options.loudness is not None:
            self._held.append(samples)
        else:
            self._put(samples, last=False)

    def finish(self) -> None:
        """Puts the file in place."""
        if self._options.loudness is not None:
            from amtts_core.audio.loudness import to_loudness

            whole = np.concatenate(self._held) if self._held else np.zeros(0, np.float32)
            self._held = []
            whole = to_loudness(whole, self._rate, target=self._options.loudness, ceiling=CEILING).samples
            self._put(whole, last=False)
        self._put(np.zeros(0, np.float32), last=True)
        with self._telling():
            self._sink.close()
            self._temporary.replace(self._path)

    def keep_partial(self) -> Path | None:
        """Puts what was written into NAME.partial.ENDING; None where there is nothing."""
        if not self._samples or self._options.loudness is not None:
            self.discard()
            return None
        partial = self._path.with_name(f"{self._path.stem}.partial{self._path.suffix}")
        self._put(np.zeros(0, np.float32), last=True)
        with self._telling():
            self._sink.close()
            self._temporary.replace(partial)
        return partial

    def discard(self) -> None:
        """Leaves nothing."""
        with contextlib.suppress(Exception):
            self._sink.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _put(self, samples: np.ndarray, *, last: bool) -> None:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples.astype(np.float32, copy=False), last=last)
        with self._telling():
            for start in range(0, len(samples), _BLOCK):
                self._sink.write(np.clip(samples[start : start + _BLOCK], -1, 1))

    @contextlib.contextmanager
    def _telling(self) -> Any:
        import soundfile

        try:
            yield
        except (OSError, soundfile.LibsndfileError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if hasattr(self, "_sink"):
            self.discard()
        else:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        if _free(self._path) < 2 * max(self._samples, 1):  # libsndfile says no more than "System error"
            why = f"No space left on device ({why})"
        raise AmttsError(
            f"{self._path} cannot be written: {why}", remedy=_remedy(why.startswith("No space"))
        ) from None


def _open_sink(file: Path, ending: str, rate: Hertz, options: AudioOptions) -> _Sink:
    kind, subtype = FORMATS[ending]
    if ending == ".m4a":
        from amtts_core.audio.aac import AacFile

        return AacFile(file, rate)
    import soundfile

    opened: _Sink = soundfile.SoundFile(
        file, "w", rate, 1, subtype=ENCODINGS.get(options.encoding, subtype), format=kind
    )
    return opened


def _require_av() -> None:
    import importlib.util

    if importlib.util.find_spec("av") is None:
        raise AmttsError("writing .m4a needs the package av", remedy="pip install 'amtts[video]'")


def try_folder(folder: Path) -> None:
    """Makes a folder and tries that files can be made in it, before any work is done for them.

    Raises:
        AmttsError: it cannot be made or written.
    """
    probe = folder / ".amtts-probe.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        raise AmttsError(
            f"{folder} cannot be written: {error.strerror or error}",
            remedy=_remedy(error.errno in (errno.ENOSPC, errno.EDQUOT)),
        ) from None


def _remedy(full: bool) -> str:
    return f"{'Free space' if full else 'Make it writable'}, or choose another --out"


def _free(path: Path) -> int:
    """Bytes that are free where the file would be."""
    above = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    return shutil.disk_usage(above).free
