"""Intervals and significance over utterances: percentile bootstrap and paired permutation, by scipy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
Numbers = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure over a set of utterances with its 95 % interval.

    Attributes:
        value: of the set itself.
        low, high: of the percentile bootstrap over utterances; equal to the value for a single utterance.
        count: utterances.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def ratio(numerators: Numbers, denominators: Numbers, *, seed: int = 0) -> Estimate:
    """Sum over sum, as in an error rate of a corpus; utterances are resampled."""
    above, below = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)

    def statistic(a: NDArray[np.float64], b: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        return np.asarray(a.sum(axis) / np.maximum(b.sum(axis), 1e-12))

    return _estimate((above, below), statistic, seed)


def mean(values: Numbers, *, seed: int = 0) -> Estimate:
    """Mean over utterances."""
    return _estimate((np.asarray(values, dtype=float),), lambda a, axis=-1: np.mean(a, axis=axis), seed)


def _estimate(samples: tuple[NDArray[np.float64], ...], statistic: object, seed: int) -> Estimate:
    from scipy.stats import bootstrap

    value, count = float(statistic(*samples)), len(samples[0])  # type: ignore[operator]
    if count < 2 or all(np.ptp(sample) == 0 for sample in samples):
        return Estimate(value, value, value, count)
    found = bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value, float(found.low), float(found.high), count)


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same utterances.

    Attributes:
        difference: second minus first, with its interval.
        p_value: probability of so large a difference, either way, if the two were exchangeable per utterance.
    """

    difference: Estimate
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether it is unlikely (under 5 %) to be chance."""
        return self.p_value < 1 - CONFIDENCE


def compare_ratios(first: Numbers, second: Numbers, lengths: Numbers, *, seed: int = 0) -> Comparison:
    """Error rates of two systems: errors of each utterance, and the length both share."""
    a, b, below = (np.asarray(values, dtype=float) for values in (first, second, lengths))
    return Comparison(ratio(b - a, below, seed=seed), _paired_p(a, b, seed))


def compare_means(first: Numbers, second: Numbers, *, seed: int = 0) -> Comparison:
    """Scores of two systems, one each per utterance."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return Comparison(mean(b - a, seed=seed), _paired_p(a, b, seed))


def _paired_p(a: NDArray[np.float64], b: NDArray[np.float64], seed: int) -> float:
    from scipy.stats import permutation_test

    if np.array_equal(a, b):
        return 1.0
    if len(a) < 2:
        return 1.0  # one pair tells nothing
    found = permutation_test(
        (a, b),
        lambda x, y, axis=-1: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
