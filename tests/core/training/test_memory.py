"""Freed memory stays with a training process, unless its user has said otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

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


ARENAS = """
import ctypes, sys, threading
from amtts_core.memory import limit_arenas

if sys.argv[1] != "0":
    limit_arenas(int(sys.argv[1]))
ctypes.CDLL(None).malloc.restype = ctypes.c_void_p
gate = threading.Barrier(16)
found = []

def work():
    gate.wait()
    for _ in range(50):
        found.append(ctypes.CDLL(None).malloc(4096))
    gate.wait()

threads = [threading.Thread(target=work) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len({at >> 26 for at in found}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_threads_share_heaps() -> None:
    """Heaps of threads lie at multiples of 64 MB, on 64-bit machines."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

    def heaps(most: int) -> int:
        command = [sys.executable, "-c", ARENAS, str(most)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, env=clean).stdout)

    assert heaps(2) <= 3 < heaps(0)


EVALUATE = """
import os
from amtts_cli.app import main

try:
    main(["evaluate", "--manifest", "nothing.jsonl", "--out", "out"])
except SystemExit:
    print(os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"))
"""


@pytest.mark.parametrize(("said", "kept"), [(None, "128"), ("7", "7")])
def test_an_evaluation_keeps_few_kernels(said: str | None, kept: str, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if "CACHE_CAPACITY" not in name}
    environment = clean | ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": said} if said else {})
    command = [sys.executable, "-c", EVALUATE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == [kept]
