"""Freed memory stays with a training process, unless its user has said otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
from amtts_core.memory import keep_freed_memory

keep_freed_memory()
for _ in range(3):
    block = bytearray(24 * 2**20)
    del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = bytearray(24 * 2**20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> int:
    """Pages that twenty blocks of 24 MB had to fetch after the first three."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, env=clean | environment
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_blocks_are_used_again() -> None:
    assert faults() < 1000
    assert faults(MALLOC_MMAP_THRESHOLD_="65536") > 20 * 5000, "what the user says counts"
