"""Whether a run should pause or stop: signals, the control file and callbacks ask for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal

from amtts_core.training.control_file import ControlFile
from amtts_core.training.distributed.processes import Processes
from amtts_core.training.stop_flag import StopFlag

Request = Literal["", "pause", "stop"]
_CODES: tuple[Request, ...] = ("", "pause", "stop")


class StopRequests:
    """A context in which signals ask for a stop; all processes get the same answers.

    Args:
        run: folder of the run, with the control file.
        processes: of the run.
        unsaved: says what a process loses that is stopped at once.
    """

    def __init__(self, run: Path, processes: Processes, *, unsaved: Callable[[], str]) -> None:
        self._processes = processes
        self._signals = StopFlag(unsaved)
        self._control = ControlFile(run) if processes.main else None
        self._requested = ""
        self.reason = ""
        """Why the run stops; set when `poll` says "stop"."""

    def __enter__(self) -> StopRequests:
        if self._control is not None:
            self._control.clear()  # a word of an earlier run
        self._signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.__exit__(kind, value, trace)

    def request(self, reason: str) -> None:
        """Asks for a stop at the end of this step."""
        self._requested = reason

    def poll(self) -> Request:
        """What is asked for, on whichever process; every process has to call this."""
        reason = self._signals.reason or self._requested
        word = "stop" if reason else self._control.word() if self._control is not None else ""
        request = _CODES[self._processes.highest(_CODES.index(word))]
        if request == "stop":
            reasons = self._processes.gather(reason or ("control file" if word else ""))
            self.reason = next(given for given in reasons if given)
            if self._control is not None:
                self._control.clear()
        return request
