"""The process pool: order kept, memory bounded, a dead worker told in one line."""

from __future__ import annotations

import os
import time

import pytest

from amtts_core.corpus import pool
from amtts_core.errors import AmttsError


def _double(number: int) -> int:
    if number == 13:
        os._exit(1)
    time.sleep(0.02 if number == 0 else 0)
    return 2 * number


def test_the_pool_keeps_the_order_and_pulls_no_further_than_it_must():
    pulled = 0

    def tasks():
        nonlocal pulled
        for number in range(14, 3000):
            pulled += 1
            yield (number, 2 * number if number % 3 else None)

    for count, (task, result) in enumerate(pool.run_ordered(_double, tasks(), jobs=2), 1):
        assert (task, result) == (13 + count, 2 * (13 + count))
        assert pulled - count <= 512
    assert count == 2986


def test_a_dead_worker_is_one_line():
    with pytest.raises(AmttsError, match="worker process died"):
        list(pool.run_ordered(_double, [(number, None) for number in range(20)], jobs=2))
