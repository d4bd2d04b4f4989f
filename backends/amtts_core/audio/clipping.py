"""Clipping that full-scale counting misses: a recording cut off flat and then turned down."""

from __future__ import annotations

import numpy as np

_RUN = 4  # equal samples in a row; speech at a normal level does not hold still that long at its peak
_NEAR_PEAK = 0.98
_LOUD_ENOUGH = 0.05  # below that the 16-bit steps themselves make flat tops


def flat_share(samples: np.ndarray) -> float:
    """Share of the samples of an untouched recording that lie in flat tops near its highest or lowest value.

    Args:
        samples: (T,) as decoded, DC included.
    """
    if len(samples) < _RUN:
        return 0.0
    high, low = float(samples.max()), float(samples.min())
    middle = (high + low) / 2
    reach = (high - low) / 2
    if reach < _LOUD_ENOUGH:
        return 0.0
    later, edge = samples[1:], _NEAR_PEAK * reach
    extreme = np.flatnonzero((later >= middle + edge) | (later <= middle - edge))
    if len(extreme) < _RUN - 1:
        return 0.0
    still = extreme[samples[extreme + 1] == samples[extreme]]
    if not len(still):
        return 0.0
    runs = np.split(still, np.flatnonzero(np.diff(still) != 1) + 1)
    flat = sum(len(run) + 1 for run in runs if len(run) >= _RUN - 1)
    return flat / len(samples)
