"""The Viterbi alignment against every path written out."""

import itertools

import numpy as np
import pytest

from amtts_core.evaluation.forced_alignment import viterbi_spans

BLANK = 0


def collapse(path):
    kept = [symbol for place, symbol in enumerate(path) if place == 0 or symbol != path[place - 1]]
    return tuple(symbol for symbol in kept if symbol != BLANK)


def best_path(log_probs, symbols):
    """By enumeration: the most probable path that collapses to the symbols."""
    frames, size = log_probs.shape
    paths = (p for p in itertools.product(range(size), repeat=frames) if collapse(p) == tuple(symbols))
    return max(paths, key=lambda p: sum(log_probs[t, s] for t, s in enumerate(p)), default=None)


@pytest.mark.parametrize("symbols", [[1], [1, 2], [1, 1], [2, 1, 2], [1, 1, 2], [3, 1, 1, 3]])
@pytest.mark.parametrize("seed", range(4))
def test_finds_the_best_of_all_paths(symbols, seed):
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.ones(4), size=7))
    expected = best_path(log_probs, symbols)
    spans = viterbi_spans(log_probs, symbols, blank=BLANK)
    found = [BLANK] * 7
    for symbol, span in zip(symbols, spans, strict=True):
        found[span.start : span.end] = [symbol] * (span.end - span.start)
    assert tuple(found) == expected


def test_confidence_is_the_mean_probability_of_the_frames():
    probabilities = np.array([[0.1, 0.9, 0.0001], [0.3, 0.7, 0.0001], [0.1, 0.1, 0.8]])
    first, second = viterbi_spans(np.log(probabilities), [1, 2], blank=BLANK)
    assert (first.start, first.end, second.start, second.end) == (0, 2, 2, 3)
    assert first.confidence == pytest.approx(0.8)
    assert second.confidence == pytest.approx(0.8)


def test_too_few_frames_for_the_symbols():
    log_probs = np.log(np.full((2, 3), 1 / 3))
    assert viterbi_spans(log_probs, [1, 1], blank=BLANK) is None  # equal neighbors need a blank between them
    assert viterbi_spans(log_probs, [1, 2, 1], blank=BLANK) is None
    assert viterbi_spans(log_probs, [], blank=BLANK) == []


def test_what_runs_on_does_not_pull_the_last_symbol_along():
    """Symbols 1 2, then other speech that ends with a longer 2: with open ends the first 2 is taken."""
    path = [1, 1, 2, 2, 3, 3, 2, 2, 2, 2]
    probabilities = np.full((len(path), 4), 0.02)
    probabilities[np.arange(len(path)), path] = 0.94
    closed = viterbi_spans(np.log(probabilities), [1, 2], blank=BLANK)
    opened = viterbi_spans(np.log(probabilities), [1, 2], blank=BLANK, open_ends=True)
    assert closed[1].end > 5  # a sound counts as a symbol rather than as silence
    assert (opened[0].start, opened[0].end, opened[1].start, opened[1].end) == (0, 2, 2, 4)
