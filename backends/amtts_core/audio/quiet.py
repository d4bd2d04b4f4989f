"""Keeps the words of a C library from the user's terminal: libmpg123 prints what it thinks of a damaged file."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()
_STDERR = 2


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Sends what is written to standard error below Python to nowhere; for a call into a library, no longer."""
    with _LOCK:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # there is none
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, _STDERR)
            finally:
                os.close(nowhere)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
