"""The job table: long work as processes of their own, that outlive browser and studio.

A job is `.studio/jobs/ID.json` and `ID.log` in the workspace. Its process, `job_runner`, leads a session of its own,
waits for its turn, runs the commands, and writes how they ended; the studio only reads. So a studio that is started
again, or a second one on the same workspace, finds every job as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from amtts_cli.studio.processes import lives, terminate
from amtts_core.errors import AmttsError
from amtts_core.storage.atomic import replace_text

State = Literal["queued", "running", "done", "failed", "stopped", "lost"]
ENDED: tuple[State, ...] = ("done", "failed", "stopped", "lost")
TRAINING = "training"
"""Lane of everything that keeps the machine busy for long: one at a time."""
_STARTING = 30.0  # seconds that a job's process may take to write its id
_SHOWN = 200
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LOG_TAIL = 65_536


@dataclass(frozen=True)
class Job:
    """An entry of the table.

    Attributes:
        id: sorts by the time at which it was asked for.
        kind: what it does, such as "train".
        title: for people.
        commands: arguments of `amtts`, one command after the other until one fails; relative to the workspace.
        out: what it makes, relative to the workspace; empty for nothing.
        lane: jobs of a lane run one after the other; empty waits for nobody.
        state: queued, running, done, failed, stopped (asked for), or lost (killed, and nobody saw how it ended).
        created, started, ended: seconds since 1970; 0 for not yet.
        exit_code: of the last command; None before.
        pid, pid_began: of its runner.
        child, child_began: of the command that runs.
        stop: whether it was asked to stop.
    """

    id: str
    kind: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    out: str = ""
    lane: str = ""
    state: State = "queued"
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    exit_code: int | None = None
    pid: int = 0
    pid_began: float = 0.0
    child: int = 0
    child_began: float = 0.0
    stop: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.state in ENDED

    @property
    def alive(self) -> bool:
        """Whether one of its processes runs, or is about to."""
        if lives(self.pid, self.pid_began) or lives(self.child, self.child_began):
            return True
        return not self.pid and time.time() - self.created < _STARTING


class JobTable:
    """Jobs of a workspace.

    Args:
        root: folder in which commands run.
        folder: of the table.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self._lock = FileLock(folder / ".lock")
        self._over: dict[str, Job] = {}

    def start(
        self,
        kind: str,
        commands: Iterable[Sequence[str]],
        *,
        title: str,
        out: str = "",
        lane: str = "",
    ) -> Job:
        """Writes a job into the table and starts its process.

        Args:
            kind: what it does, such as "train".
            commands: arguments of `amtts`; paths relative to the workspace.
            title: for people.
            out: what it makes, relative to the workspace. A second job that makes the same is refused.
            lane: TRAINING waits for the jobs of that lane that were asked for before; empty starts at once.

        Raises:
            AmttsError: a job that makes `out` is not over yet, or no process can be started.
        """
        words = tuple(tuple(map(str, command)) for command in commands)
        with self._lock:
            for other in self.list():
                if out and other.out == out and not other.over:
                    raise AmttsError(
                        f"'{out}' is being made by job {other.id} ({other.title})",
                        remedy="Stop it, or choose another name",
                    )
            job = Job(self._free_id(), kind, title, words, out=out, lane=lane, created=time.time())
            self._write(job)
        program = [sys.executable, "-P", "-m", "amtts_cli.studio.job_runner", str(self.root), job.id]
        # The workspace is the working directory and holds uploads: nothing may be imported from it.
        environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
        environment["PYTHONSAFEPATH"] = "1"
        try:
            with self.log(job.id).open("ab") as log:
                subprocess.Popen(
                    program,
                    cwd=self.root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self.change(job.id, lambda old: replace(old, state="failed", ended=time.time()))
            raise AmttsError(f"no process can be started: {error.strerror or error}") from None
        return job

    def stop(self, id: str) -> Job:
        """Asks a job to stop: SIGTERM, with which training saves. A job that waits leaves the queue.

        Raises:
            AmttsError: there is no such job.
        """
        job = self.get(id)
        if job.over:
            return job
        job = self.change(id, lambda old: replace(old, stop=True))
        if not terminate(job.pid, job.pid_began):
            terminate(job.child, job.child_began)
        return job

    def get(self, id: str) -> Job:
        """A job, with what became of it.

        Raises:
            AmttsError: there is none of this id.
        """
        job = self._read(id) if re.fullmatch(r"[0-9-]+", id) else None
        if job is None:
            raise AmttsError(f"there is no job '{id}'")
        return self._settled(job)

    def list(self, *kinds: str) -> list[Job]:
        """The newest jobs, the newest first; of these kinds, or all."""
        ids = sorted((path.stem for path in self.folder.glob("*.json")), reverse=True)[:_SHOWN]
        read = (self._over.get(id) or self._read(id) for id in ids)
        return [self._settled(job) for job in read if job is not None and (not kinds or job.kind in kinds)]

    def latest(self, *kinds: str) -> Job | None:
        """The job of these kinds that runs, or the one that was asked for last."""
        jobs = self.list(*kinds)
        return next((job for job in jobs if job.state == "running"), jobs[0] if jobs else None)

    def log(self, id: str) -> Path:
        """File of what a job says."""
        return self.folder / f"{id}.log"

    def tail(self, id: str, lines: int = 40) -> str:
        """The last lines of a job's log, without colors and without progress that was overwritten."""
        try:
            with self.log(id).open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _LOG_TAIL))
                text = log.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        clean = [_ANSI.sub("", line).rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
        return "\n".join([line for line in clean if line.strip()][-lines:])

    def wait(self, id: str, *, timeout: float) -> Job:
        """Waits until a job is over; returns it as it is after `timeout` seconds at the latest."""
        until = time.monotonic() + timeout
        while not (job := self.get(id)).over and time.monotonic() < until:
            time.sleep(0.1)
        return job

    def change(self, id: str, how: Callable[[Job], Job]) -> Job:
        """Replaces an entry by what `how` makes of it; one writer at a time."""
        with self._lock:
            job = self._read(id)
            if job is None:
                raise AmttsError(f"there is no job '{id}'")
            job = how(job)
            self._write(job)
        return job

    def may_run(self, id: str) -> bool:
        """Takes the turn of a job that waits, if no job of its lane that came before is left."""
        with self._lock:
            job = self._read(id)
            if job is None:
                return False
            before = [other for other in self.list() if other.lane == job.lane and other.id < id]
            if job.lane and any(not other.over for other in before):
                return False
            self._write(replace(job, state="running", started=time.time()))
            return True

    def _settled(self, job: Job) -> Job:
        """A job whose processes are gone without a word is lost."""
        if not job.over and not job.alive:
            again = self._read(job.id) or job  # it may have ended since it was read
            if again.over or again.alive:
                job = again
            else:
                job = self.change(job.id, _lost)
        if job.over:
            self._over[job.id] = job
        return job

    def _free_id(self) -> str:
        stem, number = time.strftime("%Y%m%d-%H%M%S"), 0
        while (self.folder / f"{stem}-{number:03d}.json").exists():
            number += 1
        return f"{stem}-{number:03d}"

    def _read(self, id: str) -> Job | None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            values: dict[str, Any] = json.loads((self.folder / f"{id}.json").read_text(encoding="utf-8"))
            known = {field.name for field in fields(Job)}
            values = {name: value for name, value in values.items() if name in known}
            values["commands"] = tuple(tuple(command) for command in values["commands"])
            return Job(**values)
        return None

    def _write(self, job: Job) -> None:
        replace_text(self.folder / f"{job.id}.json", json.dumps(asdict(job), ensure_ascii=False, indent=1))


def _lost(job: Job) -> Job:
    return job if job.over else replace(job, state="lost", ended=time.time())
