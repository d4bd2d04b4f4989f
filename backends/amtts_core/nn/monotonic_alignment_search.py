"""Monotonic alignment search: which frames belong to which text symbol, without an external aligner.

Source: Kim et al. 2020 (Glow-TTS), section 3; the same dynamic programme serves VITS. Every symbol gets at least
one frame, order is kept, the summed score is the largest possible. numpy, vectorised
over the batch and the text: the paths of the published Cython code, in less time than a call of that takes with its
copies (`benchmarks/bench_alignment.py`), so no compiled package is asked for.
"""

from __future__ import annotations

import numpy as np

IMPOSSIBLE = np.float32(-1e32)


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
    value = _forward(score, text_lengths, frame_lengths)
    # The path came from the symbol before where that one was worth more a frame earlier.
    advanced = value[:-1, :-1] > value[:-1, 1:]  # (L - 1, B (N + 1) - 1)
    return _trace_back(advanced, text_lengths, frame_lengths, symbols)


def _forward(score: np.ndarray, text_lengths: np.ndarray, frame_lengths: np.ndarray) -> np.ndarray:
    """(L, B (N + 1)) worth of the best path to each symbol at each frame.

    The items of a batch lie in one row, each behind a column that no path can come from: so a frame is one maximum
    and one addition over contiguous numbers, which is nearly all that compiled code does.
    """
    batch, symbols, frames = score.shape
    value = np.empty((frames, batch, symbols + 1), dtype=np.float32)
    value[:, :, 0] = IMPOSSIBLE
    value[:, :, 1:] = score.transpose(2, 0, 1)
    for item, (text, length) in enumerate(zip(text_lengths, frame_lengths, strict=True)):
        value[:, item, 1 + text :] = IMPOSSIBLE  # or padding, whatever it holds, would reach the next item
        value[length:, item, 1:] = IMPOSSIBLE
    value[0, :, 2:] = IMPOSSIBLE
    flat = value.reshape(frames, -1)
    best = np.empty(flat.shape[1] - 1, dtype=np.float32)
    for before, same, now in zip(flat[:-1, :-1], flat[:-1, 1:], flat[1:, 1:], strict=True):
        np.maximum(before, same, out=best)
        np.add(now, best, out=now)
    return flat


def _trace_back(
    advanced: np.ndarray, text_lengths: np.ndarray, frame_lengths: np.ndarray, symbols: int
) -> np.ndarray:
    """(B, N) frames of each symbol, walking all items back together from their last symbols."""
    batch, frames = len(text_lengths), len(advanced) + 1
    width = symbols + 1
    first = np.arange(batch) * width  # places in a row of `advanced`: first symbol of each item
    diagonal = np.arange(1, min(symbols, frames))
    for item, length in zip(first, frame_lengths, strict=True):
        advanced[:, item] = False  # nothing is before the first symbol
        # The first n frames hold at most n symbols, or the path could not start at the first one.
        advanced[diagonal - 1, item + diagonal] = True
        advanced[max(0, length - 1) :, item : item + symbols] = False  # waits at its last symbol
    path = np.empty((frames, batch), dtype=np.int64)
    path[-1] = first + text_lengths - 1
    for came, before, now in zip(advanced[::-1], path[-2::-1], path[:0:-1], strict=True):
        np.subtract(now, came[now], out=before)
    valid = np.arange(frames)[:, None] < frame_lengths
    return np.bincount(path[valid], minlength=batch * width).reshape(batch, width)[:, :symbols]
