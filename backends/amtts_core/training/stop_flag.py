"""Stopping safely: the first signal asks the loop to stop at a step boundary, a second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP, which Windows lacks, comes when a terminal is closed or a connection drops."""


def exit_code(reason: str) -> int:
    """What a shell expects of a process that a signal stopped, 128 + its number; 0 where `reason` names no signal."""
    return 128 + signal.Signals[reason] if reason in signal.Signals.__members__ else 0


class StopFlag:
    """A context in which signals set `reason` instead of interrupting. Handlers are restored on leaving.

    Args:
        unsaved: says what is lost when a second signal ends the process.
    """

    def __init__(self, unsaved: Callable[[], str] = lambda: "everything since the last checkpoint") -> None:
        self.reason = ""
        """Name of the first signal; empty where none came."""
        self._unsaved = unsaved
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            for number in SIGNALS:
                if number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # started with nohup: a closed terminal must not stop it
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.reason:
            _say(f"{name} again: stopped at once, without saving; lost: {self._unsaved()}")
            os._exit(128 + number)
        self.reason = name
        _drop_dead_streams()
        _say(
            f"{name}: saving a checkpoint after this step, then stopping; again (Ctrl-C) stops at once without saving"
        )


def _drop_dead_streams() -> None:
    """Sends what goes to a terminal that is gone to the null device: an error of writing there must not end a save."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _say(line: str) -> None:
    """Writes to standard error. Logging may be interrupted in the middle of a line by this very signal."""
    with contextlib.suppress(OSError):  # the terminal is closed
        os.write(2, f"{line}\n".encode())
