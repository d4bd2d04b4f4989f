"""The process of a job: `python -m amtts_cli.studio.job_runner WORKSPACE ID`.

It leads its own session, so neither a closed terminal nor a killed studio ends it. It writes its id, waits until the
jobs of its lane that came before are over, runs the commands, hands SIGTERM on to them, and writes how they ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from amtts_cli.studio.jobs import Job, JobTable, State
from amtts_cli.studio.processes import began
from amtts_cli.studio.workspace import HIDDEN
from amtts_core.errors import command as shell_words

_TURN = 0.5  # seconds between looks at the queue
_TERMINATED = 143


class _Runner:
    def __init__(self, table: JobTable, id: str) -> None:
        self._table, self._id = table, id
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Runs the job; returns the exit code of its last command."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        me = os.getpid()
        job = self._table.change(self._id, lambda old: replace(old, pid=me, pid_began=began(me)))
        self._stopping = self._stopping or job.stop
        while not self._stopping and not self._table.may_run(self._id):
            time.sleep(_TURN)
        code = _TERMINATED
        for words in job.commands:
            if self._stopping:
                break
            code = self._one(words)
            if code:
                break
        state: State = "done" if code == 0 else "stopped" if self._stopping else "failed"
        self._table.change(
            self._id, lambda old: replace(old, state=state, ended=time.time(), exit_code=code, child=0)
        )
        return code

    def _one(self, words: tuple[str, ...]) -> int:
        sys.stdout.write(f"$ {shell_words('amtts', *words)}\n")
        sys.stdout.flush()
        self._child = child = subprocess.Popen([sys.executable, "-P", "-m", "amtts_cli", *words])
        self._table.change(self._id, lambda old: _with_child(old, child.pid))
        if self._stopping:  # asked for between the two
            child.terminate()
        code = child.wait()
        self._child = None
        return code if code >= 0 else 128 - code

    def _stop(self, number: int, frame: Any) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.terminate()


def _with_child(job: Job, pid: int) -> Job:
    return replace(job, child=pid, child_began=began(pid))


def main() -> None:
    root = Path(sys.argv[1])
    sys.exit(_Runner(JobTable(root, root / HIDDEN / "jobs"), sys.argv[2]).run())


if __name__ == "__main__":
    main()
