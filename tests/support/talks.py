"""Talks for tests: stretches of voice at known times, as audio or video, and the subtitles that go with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
from recordings import SENTENCES, speech

Span = tuple[float, float]


def make_talk(
    spans: Sequence[Span], *, rate: int = 16000, tail: float = 1.0, offset: float = 0.0
) -> np.ndarray:
    """Voice in the spans and quiet noise elsewhere, (T,) float32; `offset` is a DC offset."""
    random = np.random.default_rng(len(spans))
    out = 1e-4 * random.standard_normal(round((spans[-1][1] + tail) * rate))
    for number, (start, end) in enumerate(spans):
        voice = speech(number, seconds=end - start, rate=rate)
        first = round(start * rate)
        out[first : first + len(voice)] += voice
    return (out + offset).astype(np.float32)


def make_spans(count: int, *, seed: int = 0, first: float = 2.0) -> list[Span]:
    """Sentences of 1.2 to 4 s with pauses of 0.6 to 2 s."""
    random = np.random.default_rng(seed)
    spans, at = [], first
    for _ in range(count):
        end = at + random.uniform(1.2, 4.0)
        spans.append((round(at, 3), round(end, 3)))
        at = end + random.uniform(0.6, 2.0)
    return spans


def sentences(count: int) -> list[str]:
    """So many different sentences."""
    return [f"{SENTENCES[n % len(SENTENCES)][:-1]} {'ሀለመረሰ'[n // 12 % 5]}።" for n in range(count)]


def write_media(
    path: Path,
    samples: np.ndarray,
    *,
    rate: int = 16000,
    video: bool = False,
    languages: Iterable[str] = ("",),
) -> Path:
    """An mp4, m4a, mov, mkv or webm; each language names a track, and tracks after the first are turned down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "libopus" if path.suffix in (".webm", ".mkv") else "aac"
    with av.open(str(path), "w") as container:
        if video:
            picture = container.add_stream("mpeg4" if codec == "aac" else "libvpx", rate=5)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        tracks = []
        for language in languages:
            track = container.add_stream(codec, rate=rate)
            track.layout = "mono"
            if language:
                track.metadata["language"] = language
            tracks.append(track)
        if video:
            for number in range(round(5 * len(samples) / rate)):
                frame = av.VideoFrame.from_ndarray(
                    np.full((32, 32, 3), number % 200, np.uint8), format="rgb24"
                )
                frame.pts = number
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        for number, track in enumerate(tracks):
            values = (samples[None] * 32767 * (1.0 if number == 0 else 0.3)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            size = track.codec_context.frame_size or 960
            resampler = av.AudioResampler(track.format.name, "mono", rate, frame_size=size)
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(track.encode(part))
            container.mux(track.encode(None))
    return path


def clock(seconds: float, mark: str = ",") -> str:
    """`01:02:03,456`."""
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def srt(spans: Iterable[Span], texts: Iterable[str]) -> str:
    """An SRT file."""
    cues = (
        f"{n}\n{clock(start)} --> {clock(end)}\n{text}\n"
        for n, ((start, end), text) in enumerate(zip(spans, texts, strict=True), 1)
    )
    return "\n".join(cues)
