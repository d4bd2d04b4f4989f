"""The process pool: order kept, memory bounded, a dead worker told in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


LONG = """
import sys, time
from amtts_core.corpus.pool import run_ordered

def work(seconds):
    print("begun", flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    for _ in run_ordered(work, [(120, None)] * 4, jobs=2):
        pass
"""


def test_an_interrupt_does_not_wait_for_long_tasks(tmp_path: Path):
    script = tmp_path / "long.py"
    script.write_text(LONG, encoding="utf-8")
    child = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert child.returncode != 0
