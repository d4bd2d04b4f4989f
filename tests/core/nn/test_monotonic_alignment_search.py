"""Monotonic alignment search against every possible path."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.nn.monotonic_alignment_search import monotonic_durations


def every_path(symbols: int, frames: int) -> list[list[int]]:
    """All ways to cut `frames` into `symbols` runs of at least one frame."""
    out = []
    for cuts in combinations(range(1, frames), symbols - 1):
        edges = [0, *cuts, frames]
        out.append([b - a for a, b in zip(edges, edges[1:], strict=False)])
    return out


def score_of(score: np.ndarray, durations: list[int]) -> float:
    owner = np.repeat(np.arange(len(durations)), durations)
    return float(score[owner, np.arange(len(owner))].sum())


def one(score: np.ndarray) -> np.ndarray:
    symbols, frames = score.shape
    return monotonic_durations(score[None], np.array([symbols]), np.array([frames]))[0]


@pytest.mark.parametrize("symbols", range(1, 6))
@pytest.mark.parametrize("extra", range(6))
def test_equals_the_best_of_all_paths(symbols: int, extra: int) -> None:
    frames = symbols + extra
    for seed in range(4):
        score = np.random.default_rng([symbols, extra, seed]).normal(size=(symbols, frames))
        best = max(every_path(symbols, frames), key=lambda durations: score_of(score, durations))
        assert one(score).tolist() == best


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 8)), min_size=1, max_size=5),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
)
def test_padded_batches_equal_single_items(sizes: list[tuple[int, int]], seed: int, scale: float) -> None:
    text = np.array([symbols for symbols, _ in sizes])
    frames = np.array([symbols + extra for symbols, extra in sizes])
    random = np.random.default_rng(seed)
    score = random.normal(size=(len(sizes), text.max(), frames.max())) * scale
    durations = monotonic_durations(score, text, frames)
    assert durations.dtype == np.int64
    assert (durations.sum(1) == frames).all()
    for row, (symbols, length) in enumerate(zip(text, frames, strict=True)):
        assert (durations[row, :symbols] >= 1).all(), "every symbol has a frame"
        assert (durations[row, symbols:] == 0).all(), "padding has none"
        assert durations[row, :symbols].tolist() == one(score[row, :symbols, :length]).tolist()


def test_values_beyond_the_lengths_do_not_matter() -> None:
    score = np.random.default_rng(0).normal(size=(2, 4, 9)).astype(np.float32)
    text, frames = np.array([2, 4]), np.array([5, 9])
    clean = monotonic_durations(score, text, frames)
    score[0, 2:] = 1e9
    score[0, :, 5:] = -np.inf
    assert (monotonic_durations(score, text, frames) == clean).all()


def test_very_bad_scores_still_give_a_path() -> None:
    score = np.full((1, 5, 400), -1e28, dtype=np.float32)
    assert monotonic_durations(score, np.array([5]), np.array([400])).sum() == 400


def test_a_long_utterance_is_exact_where_the_answer_is_known() -> None:
    wanted = np.random.default_rng(3).integers(1, 9, size=200)
    owner = np.repeat(np.arange(200), wanted)
    score = -np.abs(np.arange(200)[:, None] - owner[None]).astype(np.float64)
    assert one(score).tolist() == wanted.tolist()


@pytest.mark.parametrize(("symbols", "frames"), [(3, 2), (0, 4)])
def test_impossible_lengths_are_an_error(symbols: int, frames: int) -> None:
    with pytest.raises(ValueError, match="at least as many frames as symbols"):
        monotonic_durations(np.zeros((1, 4, 4)), np.array([symbols]), np.array([frames]))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_the_published_compiled_search_finds_the_same_paths(scale: float) -> None:
    torch = pytest.importorskip("torch")
    compiled = pytest.importorskip("monotonic_alignment_search")
    random = np.random.default_rng(11)
    for _ in range(20):
        batch, symbols, extra = random.integers(1, 9), random.integers(1, 60), random.integers(0, 90)
        text = random.integers(1, symbols + 1, size=batch)
        frames = text + random.integers(0, extra + 1, size=batch)
        score = (random.normal(size=(batch, text.max(), frames.max())) * scale).astype(np.float32)
        mask = (np.arange(text.max())[:, None] < text[:, None, None]) & (
            np.arange(frames.max()) < frames[:, None, None]
        )
        theirs = compiled.maximum_path(torch.from_numpy(score), torch.from_numpy(mask).float()).sum(2)
        assert (monotonic_durations(score, text, frames) == theirs.numpy()).all()


def test_padding_that_is_no_number_stays_out_of_the_other_items() -> None:
    score = np.random.default_rng(0).normal(size=(3, 4, 9)).astype(np.float32)
    text, frames = np.array([2, 4, 3]), np.array([5, 9, 7])
    clean = monotonic_durations(score, text, frames)
    for row in range(3):
        score[row, text[row] :] = np.inf
        score[row, :, frames[row] :] = np.nan
    assert (monotonic_durations(score, text, frames) == clean).all()
