"""Which process is meant: an id is used again after a while, so the time at which it began is kept beside it."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

_SAME = 2.0  # seconds by which the clock may have been set meanwhile


def began(pid: int) -> float:
    """Time at which a process began, seconds since 1970; 0 where there is none."""
    with contextlib.suppress(psutil.Error):
        return float(psutil.Process(pid).create_time())
    return 0.0


def lives(pid: int, since: float) -> bool:
    """Whether the process that had this id at that time still runs; one that only waits for its parent does not."""
    if not pid:
        return False
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - since) < _SAME
    except psutil.Error:
        return False


def terminate(pid: int, since: float) -> bool:
    """Sends SIGTERM to a process if it is the one that is meant."""
    if not lives(pid, since):
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
        return True
    return False
