"""What a process holds: freed memory that stays with it or goes back, and its peak."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
"""Parameters of glibc's mallopt(3)."""
KERNELS = 128
"""About the layers of one pass."""
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
    _set(MMAP_THRESHOLD, LARGEST)
    _set(TRIM_THRESHOLD, KEPT)
    if all_sizes:
        _set(MMAP_MAX, 0)


def limit_arenas(most: int) -> None:
    """Asks glibc to let threads share so many heaps; call it before they start.

    Each thread otherwise has a heap of its own, which keeps the most that ever lay in it: memory that grows for as long
    as threads meet longer texts. Does nothing where `keep_freed_memory` does nothing.
    """
    _set(ARENA_MAX, most)


def limit_prepared_kernels(most: int) -> None:
    """Lets oneDNN keep so many kernels; call it before a network computes. What the environment says counts.

    PyTorch's convolutions on a CPU are compiled for each length that they meet, and 1024 of them are kept: of texts of
    any length, hardly one is used again, and each holds memory.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(most))


def keep_few_kernels() -> None:
    """For a process that meets texts of any length: memory does not grow with what each thread has met.

    Two heaps of the C library, and kernels for the layers of one pass. Call it before a network computes and before
    threads start.
    """
    limit_arenas(2)
    limit_prepared_kernels(KERNELS)


def return_freed_memory() -> None:
    """Hands back what glibc has kept, so that what a process holds is what it uses; nothing with another C library."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """The most memory that this process has held, bytes."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _set(parameter: int, value: int) -> None:
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):  # musl, macOS, Windows
        ctypes.CDLL(None).mallopt(parameter, value)
