"""Speech made longer at the same pitch."""

from __future__ import annotations

import numpy as np


def stretched(wave: np.ndarray, factor: float) -> np.ndarray:
    """Longer by a factor at the same pitch: overlap-add of pieces that fit (WSOLA)."""
    size, search = 640, 160
    hop = size // 2
    window = np.hanning(size).astype(np.float32)
    length = int(len(wave) * factor)
    padded = np.pad(wave, (search, size + 2 * search))
    out, weight = np.zeros(length + size, np.float32), np.zeros(length + size, np.float32)
    before = padded[search : search + size]
    for place in range(0, length, hop):
        at = search + int(place / factor)
        region = padded[max(0, at - search) : at + size + search]
        if len(region) < size:
            break
        if place:
            scores = np.correlate(region, before, mode="valid")
            at = max(0, at - search) + int(scores.argmax())
        piece = padded[at : at + size]
        if len(piece) < size:
            break
        out[place : place + size] += window * piece
        weight[place : place + size] += window
        before = padded[at + hop : at + hop + size]
        if len(before) < size:
            break
    return (out / np.maximum(weight, 1e-3))[:length]
