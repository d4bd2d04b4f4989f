"""Runs `amtts ARGUMENTS` and sends itself a signal at a chosen moment: what `kill_test.py` kills.

A moment is `KIND:NUMBER`, e.g. `save:7`. Kinds:
    file           before the n-th file operation in the run folder (open for writing, rename, remove, truncate)
    save           the same, counting only those in a checkpoint's hidden temporary folder
    accumulation   after the n-th backward pass; several make an optimiser step
    never          counts and kills nothing
The counts reached are written to the file given after the moment, so that the next moments can be drawn from them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}


class Fault:
    """Counts moments and strikes at the chosen one."""

    def __init__(self, moment: str, number: signal.Signals, run: Path) -> None:
        kind, _, at = moment.partition(":")
        self._kind, self._at, self._signal, self._run = kind, int(at or 0), number, str(run)
        self.counts = {"file": 0, "save": 0, "accumulation": 0}

    def count(self, kind: str) -> None:
        """One more of a kind; sends the signal if it is the chosen one."""
        self.counts[kind] += 1
        if kind == self._kind and self.counts[kind] == self._at:
            os.kill(os.getpid(), self._signal)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's audit hook: sees file operations before they happen."""
        if event not in WATCHED:
            return
        path = str(arguments[0])
        if self._run not in path or (event == "open" and not _writes(arguments)):
            return
        self.count("file")
        if "/.step-" in path:
            self.count("save")

    def install(self) -> None:
        """Starts counting; stays for the life of the process."""
        from amtts_core.training.step import StepRunner

        plain = StepRunner._record

        def counted(runner: StepRunner, *arguments: Any) -> None:
            plain(runner, *arguments)
            self.count("accumulation")

        StepRunner._record = counted  # type: ignore[method-assign]
        sys.addaudithook(self.audit)


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def run(moment: str, number: int, counts: Path, arguments: list[str]) -> int:
    """`amtts ARGUMENTS` with a fault installed; its exit code, if it lives."""
    from amtts_cli.app import main

    folder = Path(arguments[arguments.index("--out") + 1])
    fault = Fault(moment, signal.Signals(number), folder)
    fault.install()
    try:
        main(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    finally:
        counts.write_text(json.dumps(fault.counts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
