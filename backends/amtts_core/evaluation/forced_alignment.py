"""CTC forced alignment: which frames of a recording say which symbol of a known text.

Viterbi over the CTC topology (Graves et al. 2006; as in `torchaudio.functional.forced_align`): symbols in order, blanks
between them optional, a blank needed between equal neighbors. L frames, V symbols of the model, N symbols of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEVER = -1e30
OTHER_SPEECH = 0.5
"""Nats a frame that speech outside of the text costs, so that a symbol of the text keeps all its frames."""


@dataclass(frozen=True)
class Span:
    """Frames of one symbol: `start` included, `end` excluded, and the mean probability of the symbol in them."""

    start: int
    end: int
    confidence: float


def viterbi_spans(
    log_probs: np.ndarray, symbols: Sequence[int], *, blank: int, open_ends: bool = False
) -> list[Span] | None:
    """The frames of every symbol on the most probable path.

    Args:
        log_probs: (L, V) natural log.
        symbols: ids (N,), none of them `blank`.
        blank: id of the blank.
        open_ends: what is said before the first and after the last symbol is anything, at little cost: a recording that
            runs on does not pull the last words along.

    Returns:
        N spans in order; None where the frames are too few for the symbols.
    """
    frames, count = len(log_probs), len(symbols)
    if not count:
        return []
    states = np.full(2 * count + 1, blank, dtype=np.int64)
    states[1::2] = symbols
    # A symbol may follow the symbol before it directly unless both are the same.
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    emitted = log_probs[:, states]
    if open_ends:
        anything = np.maximum(log_probs[:, blank], log_probs.max(1) - OTHER_SPEECH)
        emitted[:, 0] = emitted[:, -1] = anything
    best = np.full(len(states), NEVER)
    best[:2] = emitted[0, :2]
    back = np.zeros((frames, len(states)), dtype=np.int8)
    one, two = np.full(len(states), NEVER), np.full(len(states), NEVER)
    for frame in range(1, frames):
        one[1:] = best[:-1]
        two[2:] = np.where(may_skip[2:], best[:-2], NEVER)
        from_one, chosen = one > best, np.maximum(best, one)
        from_two = two > chosen
        back[frame] = np.where(from_two, 2, from_one)
        best = np.maximum(chosen, two) + emitted[frame]
    state = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    if best[state] <= NEVER / 2:
        return None
    path = np.empty(frames, dtype=np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(back[frame, state])
    return _spans(path, emitted, count)


def _spans(path: np.ndarray, emitted: np.ndarray, count: int) -> list[Span] | None:
    """Spans of the odd states of a path; None where one has no frame."""
    said = np.flatnonzero(path % 2 == 1)
    owner = path[said] // 2
    starts = np.searchsorted(owner, np.arange(count), side="left")
    ends = np.searchsorted(owner, np.arange(count), side="right")
    if (ends <= starts).any():
        return None
    probabilities = np.exp(np.minimum(emitted[said, path[said]], 0.0))
    return [
        Span(int(said[a]), int(said[b - 1]) + 1, float(probabilities[a:b].mean()))
        for a, b in zip(starts, ends, strict=True)
    ]
