"""Monotonic alignment search: ours, in numpy, beside the compiled search of VITS, on the same scores in one run.

Both must find the same paths. `compiled` is `monotonic-alignment-search` (the published Cython code) called as VITS
calls it, `its core` the loop alone, without what is copied to and from it. CPU seconds, one thread, the least of many.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from amtts_core.nn.monotonic_alignment_search import monotonic_durations

SIZES = ((16, 100, 400), (16, 150, 600), (16, 200, 800), (16, 301, 600), (64, 300, 900))
"""Utterances, symbols, frames."""


def main() -> None:
    """Prints milliseconds for each size, and how many times as fast ours is."""
    torch.set_num_threads(1)
    try:
        from monotonic_alignment_search import maximum_path
        from monotonic_alignment_search.core import maximum_path_c
    except ImportError:
        print("skipped: monotonic-alignment-search is not installed (pip install it, or amtts[dev])")
        return
    for size in SIZES:
        compare(*size, maximum_path=maximum_path, core=maximum_path_c)


def compare(batch: int, symbols: int, frames: int, *, maximum_path: Any, core: Any) -> None:
    """One line; stops with an error where the paths differ."""
    random = np.random.default_rng(0)
    score = random.normal(size=(batch, frames, symbols)).astype(np.float32)  # as VITS makes it, text last
    text = (symbols * random.uniform(0.6, 1, batch)).astype(np.int32)
    length = np.maximum((frames * random.uniform(0.6, 1, batch)).astype(np.int32), text)
    text[0], length[0] = symbols, frames
    mask = (np.arange(symbols)[:, None] < text[:, None, None]) & (np.arange(frames) < length[:, None, None])
    value, weights = torch.from_numpy(score).transpose(1, 2).contiguous(), torch.from_numpy(mask).float()
    masked = value.numpy() * mask

    def search() -> np.ndarray:
        return monotonic_durations(score.transpose(0, 2, 1), text, length)

    def loop() -> None:
        core(np.zeros(masked.shape, np.int32), masked.copy(), text, length)

    if not (search() == maximum_path(value, weights).sum(2).numpy()).all():
        raise SystemExit(f"{batch} x {symbols} x {frames}: the paths differ")
    ours, theirs, bare = least(search), least(lambda: maximum_path(value, weights)), least(loop)
    print(
        f"{batch} x {symbols} symbols x {frames} frames: ours {ours:.2f} ms, compiled {theirs:.2f} ms "
        f"({theirs / ours:.2f} x), its core {bare:.2f} ms ({bare / ours:.2f} x); paths equal"
    )


def least(work: Callable[[], Any], runs: int = 15) -> float:
    """CPU milliseconds of the fastest run."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * min(taken)


if __name__ == "__main__":
    main()
