"""Speech as bytes of a response: whole files as the command line writes them, or piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from amtts_core.audio.save import endless_wav_header
from amtts_core.units import Hertz

if TYPE_CHECKING:
    from typing_extensions import Buffer

MEDIA = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""Format of a response -> media type."""
SIZED = ("wav", "flac")
"""Formats whose header holds the length; they come whole where no stream is asked for."""
PCM_RATE: Hertz = 24_000
"""Of bare samples, which clients of OpenAI take for granted."""
_SUBTYPES = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
    "flac": ("FLAC", "PCM_16"),
    "wav": ("WAV", "PCM_16"),
}
_RATES: dict[str, tuple[Hertz, ...]] = {
    "opus": (8000, 12000, 16000, 24000, 48000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
}
_CODECS = {
    "mp3": ("mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
    "aac": ("adts", "aac", {}),
}
_BIT_RATE = 64_000
_BLOCK = 1 << 16
"""Samples written at a time: libsndfile 1.2 crashes on minutes of Ogg in one call."""


def rate_of(audio_format: str, own: Hertz) -> Hertz:
    """Sample rate of a response for a voice of rate `own`; the next higher one where a format does not know it."""
    if audio_format == "pcm":
        return PCM_RATE
    rates = _RATES.get(audio_format, (own,))
    return own if own in rates else next((rate for rate in rates if rate > own), rates[-1])


def rates_of(audio_format: str) -> tuple[Hertz, ...]:
    """Rates that a format knows; empty where it knows all."""
    return _RATES.get(audio_format, ())


def encode(samples: np.ndarray, audio_format: str, *, sample_rate: Hertz, wanted: Hertz) -> bytes:
    """(T,) float in [-1, 1] at `sample_rate` to a file of `audio_format` at the rate `wanted`."""
    if audio_format not in _SUBTYPES:
        return b"".join(encode_pieces([samples], audio_format, sample_rate=sample_rate, wanted=wanted))
    import soundfile

    kind, subtype = _SUBTYPES[audio_format]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", wanted, 1, subtype=subtype, format=kind) as sink:
        for piece in _resampled([samples], sample_rate, wanted):
            _write(sink, piece)
    return file.getvalue()


def encode_pieces(
    pieces: Iterable[np.ndarray], audio_format: str, *, sample_rate: Hertz, wanted: Hertz
) -> Iterator[bytes]:
    """Pieces (T,) of speech as pieces of a file, each as soon as the coding allows; nothing before the first sound."""
    sink = _open(audio_format, wanted)
    try:
        for piece in _resampled(pieces, sample_rate, wanted):
            sink.write(piece)
            if data := sink.drain():
                yield data
    finally:
        sink.close()
    if data := sink.drain():
        yield data


class _Encoder(Protocol):
    def write(self, samples: np.ndarray) -> None: ...

    def drain(self) -> bytes: ...

    def close(self) -> None: ...


def _open(audio_format: str, rate: Hertz) -> _Encoder:
    if audio_format in _CODECS:
        return _Frames(audio_format, rate)
    if audio_format in ("pcm", "wav"):  # by libsndfile too: it rounds the samples of files in its own way
        return _Coded(
            "RAW", "PCM_16", rate, header=endless_wav_header(rate) if audio_format == "wav" else b""
        )
    return _Coded(*_SUBTYPES[audio_format], rate)


def _resampled(pieces: Iterable[np.ndarray], rate: Hertz, wanted: Hertz) -> Iterator[np.ndarray]:
    if rate == wanted:
        yield from pieces
        return
    import soxr

    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    for piece in pieces:
        yield stream.resample_chunk(piece.astype(np.float32, copy=False))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _write(sink: Any, samples: np.ndarray) -> None:
    for start in range(0, len(samples), _BLOCK):
        sink.write(np.clip(samples[start : start + _BLOCK], -1, 1))


class _Tap(io.RawIOBase):
    """What an encoder writes, as it writes it; what it writes over later (lengths in a header) is left as it was."""

    def __init__(self) -> None:
        self._ready = bytearray()
        self._taken = self._at = 0

    def write(self, data: Buffer) -> int:
        given = bytes(data)
        start = self._at - self._taken
        if start >= 0:
            self._ready[start : start + len(given)] = given
        self._at += len(given)
        return len(given)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._taken + len(self._ready)}
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        return 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def drain(self) -> bytes:
        ready = bytes(self._ready)
        self._taken += len(ready)
        self._ready.clear()
        return ready


class _Coded:
    """Bare samples, Ogg Opus or FLAC by libsndfile."""

    def __init__(self, kind: str, subtype: str, rate: Hertz, *, header: bytes = b"") -> None:
        import soundfile

        self._tap, self._header = _Tap(), header
        self._sink = soundfile.SoundFile(self._tap, "w", rate, 1, subtype=subtype, format=kind)

    def write(self, samples: np.ndarray) -> None:
        _write(self._sink, samples)

    def drain(self) -> bytes:
        header, self._header = self._header, b""
        return header + self._tap.drain()

    def close(self) -> None:
        self._sink.close()


class _Frames:
    """MP3 or AAC by FFmpeg's libraries: frames without a header that tells the length, which is not known yet."""

    def __init__(self, audio_format: str, rate: Hertz) -> None:
        import av

        self._tap = _Tap()
        container, codec, options = _CODECS[audio_format]
        self._container: Any = av.open(self._tap, "w", format=container, options=options)
        self._stream: Any = self._container.add_stream(codec, rate=rate, layout="mono", bit_rate=_BIT_RATE)
        self._rate, self._closed = rate, False

    def write(self, samples: np.ndarray) -> None:
        import av

        for start in range(0, len(samples), _BLOCK):
            part = np.clip(samples[start : start + _BLOCK], -1, 1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
            frame.sample_rate = self._rate
            self._container.mux(self._stream.encode(frame))

    def drain(self) -> bytes:
        return self._tap.drain()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._container.mux(self._stream.encode(None))
            self._container.close()
