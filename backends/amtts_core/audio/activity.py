"""Where a recording of any length holds voice: silero-vad where it is installed, otherwise energy.

Frames of 10 ms; memory follows the number of frames, never the samples. DC and rumble are taken out first.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.stream import sound_blocks
from amtts_core.audio.trim import FRAME, stretches
from amtts_core.units import Hertz, Seconds

_LOWEST = -120.0
_CORNER = 80.0  # Hz; voice has nothing below that is needed here
_ABOVE_NOISE = 4.0  # dB; enough for levels smoothed over five frames
_SILERO_RATE: Hertz = 16_000
_SILERO_WINDOW = 512
_SILERO_CONTEXT = 64


@dataclass(frozen=True)
class Activity:
    """The voice of a recording, frame by frame.

    Attributes:
        voiced: (frames,) bool.
        levels: (frames,) dB relative to full scale, float32.
        detector: "silero-vad" or "energy".
    """

    voiced: np.ndarray
    levels: np.ndarray
    detector: str

    @property
    def duration(self) -> Seconds:
        """Of the recording, to a frame."""
        return len(self.voiced) * FRAME


def detect_activity(
    path: Path, *, longest: Seconds = 24 * 3600, channel: int | None = None, track: int | None = None
) -> Activity:
    """Decodes a whole recording once and says where somebody speaks.

    Args:
        path: of the recording.
        longest: more is refused.
        channel: number of the channel that is decoded, from 0; None takes the mean of all.
        track: number of the sound track of a video, from 0; None takes the first.

    Raises:
        AudioError: it cannot be decoded, or is longer than `longest`.
    """
    silero = _load_silero()
    levels: list[np.ndarray] = []
    frames = 0
    with sound_blocks(path, channel=channel, track=track) as (rate, blocks):
        meter = _Levels(rate)
        for block in blocks:
            clean = np.nan_to_num(np.clip(block, -4, 4), nan=0.0)
            part = meter(clean)
            levels.append(part)
            frames += len(part)
            if frames * FRAME > longest:
                raise AudioError(f"is longer than {longest / 3600:g} hours")
            if silero is not None:
                silero.add(clean, rate)
    level = np.concatenate(levels) if levels else np.zeros(0, np.float32)
    if not len(level):
        raise AudioError("holds no samples")
    if silero is not None:
        return Activity(silero.voiced(len(level)), level, "silero-vad")
    return Activity(voiced_by_energy(level), level, "energy")


def voiced_by_energy(levels: np.ndarray) -> np.ndarray:
    """Frames above a threshold between the quiet and the loud frames of their own half minute, (frames,) bool."""
    span = round(15 / FRAME)
    levels = np.convolve(np.pad(levels, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    loud = float(np.percentile(levels, 95))
    out = np.zeros(len(levels), bool)
    for begin in range(0, len(levels), span):
        near = levels[max(0, begin - span // 2) : begin + span + span // 2]
        quiet, top = np.percentile(near, (8, 95))
        top = max(top, loud - 25)  # a stretch of silence has no voice of its own
        threshold = max(quiet + max(_ABOVE_NOISE, 0.2 * (top - quiet)), top - 40)
        out[begin : begin + span] = levels[begin : begin + span] > threshold
    return _closed(out, round(0.08 / FRAME))


def _closed(voiced: np.ndarray, shortest: int) -> np.ndarray:
    """The same with gaps and bursts of fewer frames than `shortest` filled and taken out."""
    out = voiced.copy()
    for value in (False, True):
        for begin, end in stretches(out == value):
            if end - begin < shortest and begin > 0 and end < len(out):
                out[begin:end] = not value
    return out


class _Levels:
    """RMS of 10 ms frames after a high-pass, over blocks of any size."""

    def __init__(self, rate: Hertz) -> None:
        from scipy.signal import butter, sosfilt_zi

        self._rate = rate
        self._sections = butter(2, _CORNER, "highpass", fs=rate, output="sos")
        self._settled = sosfilt_zi(self._sections)
        self._state: np.ndarray | None = None
        self._rest = np.zeros(0)
        self._done = 0  # samples in whole frames so far
        self._frames = 0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        from scipy.signal import sosfilt

        if not len(block):
            return np.zeros(0, np.float32)
        if self._state is None:
            self._state = self._settled * float(block[0])
        steady, self._state = sosfilt(self._sections, block.astype(np.float64), zi=self._state)
        samples = np.concatenate([self._rest, steady])
        # frame n starts at round(n * rate / 100), so 44.1 kHz and 11.025 kHz do not drift
        count = int((self._done + len(samples)) / (self._rate * FRAME)) - self._frames
        if count < 1:
            self._rest = samples
            return np.zeros(0, np.float32)
        edges = np.rint(np.arange(self._frames, self._frames + count + 1) * self._rate * FRAME).astype(int)
        edges = np.minimum(edges - self._done, len(samples))
        squares = np.concatenate([[0.0], np.cumsum(samples**2)])
        power = np.diff(squares[edges]) / np.maximum(np.diff(edges), 1)
        self._rest = samples[edges[-1] :]
        self._done += int(edges[-1])
        self._frames += count
        decibels = 10 * np.log10(np.maximum(power, 1e-12))
        return np.maximum(decibels, _LOWEST).astype(np.float32)


class _Silero:
    """silero-vad's ONNX model over a stream; it keeps a probability for each 32 ms."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_SILERO_CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)
        self._resample: Callable[..., np.ndarray] | None = None
        self._mean = 0.0
        self._probabilities: list[float] = []

    def add(self, block: np.ndarray, rate: Hertz) -> None:
        """Takes the next samples."""
        if self._resample is None:
            import soxr

            self._resample = soxr.ResampleStream(rate, _SILERO_RATE, 1, dtype="float32").resample_chunk
            self._mean = float(block.mean()) if len(block) else 0.0
        self._score(self._resample((block - self._mean).astype(np.float32)))

    def _score(self, resampled: np.ndarray) -> None:
        samples = np.concatenate([self._rest, resampled])
        whole = len(samples) // _SILERO_WINDOW * _SILERO_WINDOW
        for window in samples[:whole].reshape(-1, _SILERO_WINDOW):
            inputs = np.concatenate([self._context, window])[None]
            rate_input = np.array(_SILERO_RATE, np.int64)
            out, self._state = self._session.run(
                None, {"input": inputs, "state": self._state, "sr": rate_input}
            )
            self._probabilities.append(float(out[0, 0]))
            self._context = window[-_SILERO_CONTEXT:]
        self._rest = samples[whole:]

    def voiced(self, frames: int) -> np.ndarray:
        """One value a frame of 10 ms; ends the stream."""
        if self._resample is not None:
            self._score(self._resample(np.zeros(0, np.float32), last=True))
        if not self._probabilities:
            return np.zeros(frames, bool)
        at = (np.arange(frames) + 0.5) * FRAME * _SILERO_RATE / _SILERO_WINDOW
        index = np.minimum(at.astype(int), len(self._probabilities) - 1)
        return _closed(np.asarray(self._probabilities)[index] > 0.5, round(0.1 / FRAME))


def detector_name() -> str:
    """Which detector `detect_activity` will use."""
    return "energy" if _silero_model() is None else "silero-vad"


def _silero_model() -> Path | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    found = importlib.util.find_spec("silero_vad")  # its code needs torchaudio; only the model is taken
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).rglob("silero_vad.onnx")):
            return path
    return None


def _load_silero() -> _Silero | None:
    model = _silero_model()
    if model is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return _Silero(onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"]))
