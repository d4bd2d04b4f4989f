"""Intervals against their own simulation, and the paired test against an exact enumeration."""

import itertools

import numpy as np
import pytest

from amtts_core.evaluation.intervals import compare_means, compare_ratios, mean, ratio


def test_a_ratio_is_sum_over_sum():
    found = ratio([1, 0, 3], [10, 20, 10])
    assert found.value == pytest.approx(4 / 40)
    assert found.low <= found.value <= found.high


def test_one_utterance_and_equal_ones_have_no_width():
    assert ratio([2], [10]).low == ratio([2], [10]).high == 0.2
    assert mean([3.0, 3.0, 3.0]).high == 3.0


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(60):
        found = mean(rng.normal(5, 2, size=60), seed=trial)
        inside += found.low <= 5 <= found.high
    assert 50 <= inside <= 60  # 95 % of 60 is 57


def test_the_mean_interval_agrees_with_the_normal_one():
    values = np.random.default_rng(1).normal(0, 1, size=400)
    half = 1.96 * values.std(ddof=1) / 20
    found = mean(values)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_p_value_is_that_of_all_sign_flips():
    first = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])
    second = np.array([2.0, 1.5, 2.0, 0.5, 3.0, 9.5, 1.0, 4.0])
    difference = second - first
    sums = [
        abs(sum(s * d for s, d in zip(signs, difference, strict=True)))
        for signs in itertools.product((1, -1), repeat=8)
    ]
    exact = np.mean([value >= abs(difference.sum()) - 1e-12 for value in sums])
    assert compare_means(first, second).p_value == pytest.approx(exact, abs=1e-9)


def test_equal_systems_and_single_pairs_are_never_significant():
    same = [1.0, 2.0, 0.0]
    assert compare_ratios(same, same, [10, 10, 10]).p_value == 1.0
    assert not compare_means([1.0], [9.0]).significant


def test_a_clear_difference_is_found():
    lengths = np.full(40, 30)
    errors = np.random.default_rng(2).poisson(1, size=40)
    found = compare_ratios(errors, errors + 3, lengths)
    assert found.difference.value == pytest.approx(0.1)
    assert found.significant
