"""What a process holds: freed memory that stays with it, and its peak."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

import psutil

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Parameters of glibc's mallopt(3)."""
LARGEST, KEPT = 32 * 2**20, 2**31 - 1
"""Bytes: blocks up to this size come from the heap (the most glibc allows), whose end goes back only above that."""


def keep_freed_memory(*, all_sizes: bool = False) -> None:
    """Asks glibc not to hand large blocks back to the system as soon as they are freed.

    Every step frees its activations and asks for them anew; fetched page by page they cost a tenth of a step of the
    trainer in a virtual machine (`benchmarks/bench_loop.py`: 92 % of a bare loop's speed without, 98 % with). Does
    nothing with another C library, and where MALLOC_* in the environment says what the user wants.

    Args:
        all_sizes: blocks beyond 32 MB too, for work whose blocks are alike from one time to the next.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, KEPT)
    if all_sizes:
        mallopt(MMAP_MAX, 0)


def return_freed_memory() -> None:
    """Hands back what glibc has kept, so that what a process holds is what it uses; nothing with another C library."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """The most memory that this process has held, bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
