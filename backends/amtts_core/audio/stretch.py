"""Faster or slower speech at the same pitch, for a model that has no pace of its own: WSOLA (Verhelst & Roelands 1993).

Knows waveforms only. T samples.
"""

from __future__ import annotations

import numpy as np

from amtts_core.units import Hertz, Seconds

WINDOW: Seconds = 0.04
SEARCH: Seconds = 0.01
"""How far a window may move from its place to continue the one before it."""


def stretch(samples: np.ndarray, rate: Hertz, *, speed: float) -> np.ndarray:
    """(T,) float32 -> (round(T / speed),) float32; speed 2 takes half as long."""
    wanted = round(len(samples) / speed)
    half = round(WINDOW / 2 * rate)
    window, search = 2 * half, round(SEARCH * rate)
    if speed == 1 or len(samples) <= window + 2 * search:
        return samples if speed == 1 else samples[:wanted].astype(np.float32)
    fade = np.hanning(window + 1)[:window]
    steps = -(-wanted // half)
    margin = search + window
    padded = np.pad(samples.astype(np.float64), (margin, 2 * margin + round(half * speed) + window))
    out = np.zeros(steps * half + window)
    follows = margin - half
    for step in range(steps + 1):
        place = min(margin - half + round(step * half * speed), len(padded) - window - search)
        if step:
            # The stretch of input that would come next, and where near `place` the sound is most like it.
            candidates = padded[follows : follows + window]
            near = padded[place - search : place + search + window]
            place += int(np.argmax(np.correlate(near, candidates, mode="valid"))) - search
        out[step * half : step * half + window] += fade * padded[place : place + window]
        follows = min(place + half, len(padded) - window)
    return out[half : half + wanted].astype(np.float32)
