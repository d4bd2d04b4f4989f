"""What can be read off one waveform: level, clipping, silence at its ends and inside."""

from __future__ import annotations

import numpy as np

from amtts_core.audio.clipping import flat_share
from amtts_core.audio.loudness import loudness
from amtts_core.units import Decibels, Hertz

FRAME = 0.01
QUIET: Decibels = -40.0
"""Under the loud frames (95th percentile) of the utterance: silence."""
FLOOR: Decibels = -60.0
"""Under full scale: silence in any case."""
FULL_SCALE = 0.999


def rms(waveform: np.ndarray) -> float:
    """Root mean square of (T,)."""
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def levels(waveform: np.ndarray, rate: Hertz) -> np.ndarray:
    """RMS of frames of 10 ms in dB under full scale, (L,)."""
    size = max(1, round(FRAME * rate))
    frames = waveform[: len(waveform) // size * size].astype(np.float64).reshape(-1, size)
    return 10 * np.log10(np.square(frames).mean(1) + 1e-12)


def sounding(waveform: np.ndarray, rate: Hertz) -> np.ndarray:
    """Frames of 10 ms that are no silence, (L,) bool."""
    level = levels(waveform, rate)
    if not len(level):
        return np.zeros(0, dtype=bool)
    return level > max(FLOOR, float(np.percentile(level, 95)) + QUIET)


def signal_figures(waveform: np.ndarray, rate: Hertz) -> dict[str, float]:
    """Seconds, loudness (LUFS; absent for silence), peak (dB), clipped share, silence in seconds."""
    sound = sounding(waveform, rate)
    places = np.flatnonzero(sound)
    peak = float(np.abs(waveform).max()) if len(waveform) else 0.0
    out = {
        "seconds": len(waveform) / rate,
        "peak_db": 20 * float(np.log10(max(peak, 1e-6))),
        "clipped_share": max(
            flat_share(waveform), float((np.abs(waveform) >= FULL_SCALE).mean()) if len(waveform) else 0.0
        ),
        "leading_silence": float(places[0] if len(places) else len(sound)) * FRAME,
        "trailing_silence": float(len(sound) - 1 - places[-1] if len(places) else len(sound)) * FRAME,
        "longest_silence": _longest(~sound[places[0] : places[-1] + 1]) * FRAME if len(places) else 0.0,
        "speech_seconds": float(places[-1] - places[0] + 1) * FRAME if len(places) else 0.0,
    }
    if len(places):
        measured = float(loudness(waveform, rate))
        if np.isfinite(measured):
            out["loudness_lufs"] = measured
    return out


def _longest(flags: np.ndarray) -> int:
    """Longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
