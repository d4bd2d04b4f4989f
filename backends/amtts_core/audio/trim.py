"""Where the speech of a recording starts and ends, by energy relative to the recording itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amtts_core.units import Decibels, Hertz, Seconds

FRAME: Seconds = 0.01
LOWEST: Decibels = -120.0
_DIGITAL: Decibels = -100.0
_RUN = 5  # frames in a row that make speech; smoothing spreads a click over three or four
_ABOVE_NOISE: Decibels = 10.0
_LEAST_BELOW_SPEECH: Decibels = 20.0


@dataclass(frozen=True)
class Speech:
    """The stretch of a recording that holds speech, in samples, and how loud it is.

    Attributes:
        begin: first sample, margin included.
        end: one past the last sample, margin included.
        level: of the loud frames (95th percentile of the frames' RMS), dB relative to full scale.
        noise: of the quiet frames (5th percentile), dB relative to full scale.
        floor: the same without digital silence, which no microphone records.
    """

    begin: int
    end: int
    level: Decibels
    noise: Decibels
    floor: Decibels

    @property
    def snr(self) -> Decibels:
        """Estimate of the signal-to-noise ratio; too low where the clip has no pause at all."""
        return self.level - self.floor


def frame_levels(samples: np.ndarray, rate: Hertz) -> np.ndarray:
    """RMS of frames of 10 ms, smoothed over three, in dB relative to full scale, (frames,)."""
    hop = max(1, round(FRAME * rate))
    if not len(samples):
        return np.zeros(0)
    whole = len(samples) // hop * hop
    power = np.einsum("ij,ij->i", *[samples[:whole].reshape(-1, hop)] * 2).astype(np.float64) / hop
    if whole < len(samples):
        power = np.append(power, np.mean(np.square(samples[whole:])))
    padded = np.pad(power, 1, mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return np.maximum(10 * np.log10(np.maximum(smooth, 1e-30)), LOWEST)


def stretches(mask: np.ndarray) -> np.ndarray:
    """Begins and ends of the stretches where a mask (frames,) is true, (stretches, 2); an end is the frame after."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.flatnonzero(edges).reshape(-1, 2)


def find_speech(samples: np.ndarray, rate: Hertz, *, below: Decibels, margin: Seconds) -> Speech:
    """The speech of a recording, with `margin` kept at both ends where the recording has it.

    A frame is speech when it is less than `below` dB under the loud frames; where the recording's own noise is
    above that, the limit rises 10 dB over the noise, but never nearer than 20 dB to the loud frames.

    Args:
        samples: (T,), without DC.
        rate: of the samples.
        below: depth of the threshold.
        margin: kept before the first and after the last frame of speech.
    """
    levels = frame_levels(samples, rate)
    if not len(levels):
        return Speech(0, 0, LOWEST, LOWEST, LOWEST)
    ranked = np.sort(levels)
    level, noise = _percentile(ranked, 95), _percentile(ranked, 5)
    floor = noise if noise > _DIGITAL else _audible_floor(ranked, level)
    threshold = max(level - below, min(noise + _ABOVE_NOISE, level - _LEAST_BELOW_SPEECH))
    active = levels > threshold
    runs = np.convolve(active, np.ones(_RUN, int), mode="valid") if len(active) >= _RUN else active * _RUN
    starts = np.flatnonzero(runs >= _RUN)
    if not len(starts):
        return Speech(0, len(samples), level, noise, floor)
    hop, keep = max(1, round(FRAME * rate)), round(margin * rate)
    begin = max(0, int(starts[0]) * hop - keep)
    end = min(len(samples), (int(starts[-1]) + _RUN) * hop + keep)
    return Speech(begin, end, level, noise, floor)


def _percentile(ranked: np.ndarray, percent: float) -> float:
    """As numpy's, which sorts anew for each and takes longer over its arguments than over the values."""
    at = percent / 100 * (len(ranked) - 1)
    below = int(at)
    low, high = float(ranked[below]), float(ranked[min(below + 1, len(ranked) - 1)])
    return low + (high - low) * (at - below)


def _audible_floor(ranked: np.ndarray, level: Decibels) -> Decibels:
    """The quiet frames of those that hold more than digital silence; of a single tone, the tone itself."""
    audible = ranked[ranked > _DIGITAL]
    return _percentile(audible, 5) if len(audible) else level
