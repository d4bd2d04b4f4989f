"""Monotonic alignment search: which frames belong to which text symbol, without an external aligner.

Source: Kim et al. 2020 (Glow-TTS), section 3; the same dynamic programme serves VITS. Every symbol gets at least
one frame, order is kept, the summed score is the largest possible. numpy, vectorised over the batch and the text.
"""

from __future__ import annotations

import numpy as np

IMPOSSIBLE = np.float32(-1e30)


def monotonic_durations(score: np.ndarray, text_lengths: np.ndarray, frame_lengths: np.ndarray) -> np.ndarray:
    """Durations of the best monotonic path.

    Args:
        score: (B, N, L) float, larger is better; values beyond the lengths are ignored.
        text_lengths: (B,) symbols of each item, at most N and at most its frames.
        frame_lengths: (B,) frames of each item, at most L.

    Returns:
        (B, N) int64 frames per symbol; row b sums to `frame_lengths[b]`, each symbol has at least 1.

    Raises:
        ValueError: an item has fewer frames than symbols, so no path exists.
    """
    batch, symbols, frames = score.shape
    text_lengths = np.asarray(text_lengths, dtype=np.int64)
    frame_lengths = np.asarray(frame_lengths, dtype=np.int64)
    if (frame_lengths < text_lengths).any() or (text_lengths < 1).any():
        raise ValueError("every item needs at least one symbol and at least as many frames as symbols")
    by_frame = np.ascontiguousarray(score.transpose(2, 0, 1), dtype=np.float32)  # (L, B, N)
    advanced = np.zeros((frames, batch, symbols), dtype=bool)
    best = np.full((batch, symbols), IMPOSSIBLE, dtype=np.float32)
    best[:, 0] = by_frame[0, :, 0]
    shifted = np.full_like(best, IMPOSSIBLE)
    for frame in range(1, frames):
        shifted[:, 1:] = best[:, :-1]
        np.greater(shifted, best, out=advanced[frame])
        np.maximum(best, shifted, out=best)
        best += by_frame[frame]
        np.maximum(best, IMPOSSIBLE, out=best)  # keeps "unreachable" from drifting below float range
    return _trace_back(advanced, text_lengths, frame_lengths, symbols)


def _trace_back(
    advanced: np.ndarray, text_lengths: np.ndarray, frame_lengths: np.ndarray, symbols: int
) -> np.ndarray:
    batch = len(text_lengths)
    items = np.arange(batch)
    durations = np.zeros((batch, symbols), dtype=np.int64)
    symbol = text_lengths - 1
    for frame in range(int(frame_lengths.max()) - 1, -1, -1):
        active = frame < frame_lengths
        durations[items, symbol] += active
        # The first `symbol + 1` frames must hold one symbol each, or the path could not start at symbol 0.
        step = active & (advanced[frame, items, symbol] | (frame == symbol)) & (symbol > 0)
        symbol = symbol - step
    return durations
