"""One writer a run: a second `amtts train` in the same folder is refused and says which process holds it.

The lock is filelock's, on the hidden file `.lock`: the system releases it when its process ends, however it ends. The
file `.owner.json` says who that is, and its modification time is a heartbeat: a network file system may keep locks to
one machine, so a fresh heartbeat counts as held too. A killed process leaves its `.owner.json` behind: it is stale when
that process is gone, when the machine was started again, or when the heartbeat of another machine is old.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from amtts_core.errors import AmttsError
from amtts_core.storage.atomic import replace_text
from amtts_core.units import Seconds

LOCK, OWNER = ".lock", ".owner.json"
HEARTBEAT: Seconds = 15.0
STALE: Seconds = 8 * HEARTBEAT
"""Age of a heartbeat from which on a process of another machine counts as dead."""


@dataclass(frozen=True)
class Owner:
    """The process that writes a run.

    Attributes:
        pid: its process id.
        host: name of its machine.
        boot: changes when that machine is started again.
        since: local time at which it began.
    """

    pid: int
    host: str
    boot: str
    since: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls(os.getpid(), platform.node(), _boot_id(), time.strftime("%Y-%m-%d %H:%M:%S"))

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """The owner that a file names; None where there is none or it cannot be read."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


@contextlib.contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Keeps other processes from writing into a run folder, which is made; an empty one is removed afterwards.

    Args:
        run: folder of the run.

    Raises:
        AmttsError: another process writes into it, or it cannot be written.
    """
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    lock = FileLock(run / LOCK, thread_local=False)
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
        try:
            _refuse_live_owner(run)
            replace_text(run / OWNER, json.dumps(asdict(Owner.current())))
        except BaseException:
            lock.release()
            raise
    except Timeout:
        raise _held(run, Owner.read(run / OWNER)) from None
    except OSError as error:
        _remove_empty(run, made)
        raise AmttsError(
            f"run folder {run} cannot be written: {error.strerror or error}",
            remedy="Make it writable, or choose another --out",
        ) from None
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(run / OWNER, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with contextlib.suppress(OSError):  # the folder may be gone, or read-only by now
            (run / OWNER).unlink(missing_ok=True)
        lock.release()
        _remove_empty(run, made)


def _refuse_live_owner(run: Path) -> None:
    """Refuses a fresh heartbeat of a process that may be alive although the lock is free: its file system has no locks
    that reach this process. Ages are by the clock of the file system."""
    owner, this = Owner.read(run / OWNER), Owner.current()
    if owner is None or owner.pid == this.pid:
        return
    if owner.host == this.host and (owner.boot != this.boot or not psutil.pid_exists(owner.pid)):
        return
    with contextlib.suppress(FileNotFoundError):
        os.utime(run / LOCK)
        age = (run / LOCK).stat().st_mtime - (run / OWNER).stat().st_mtime
        if age < STALE:
            raise _held(run, owner)


def _held(run: Path, owner: Owner | None) -> AmttsError:
    who = f"process {owner.pid} on {owner.host} since {owner.since}" if owner else "another process"
    return AmttsError(
        f"run folder {run} is being written by {who}",
        remedy="Wait until it ends, stop it (write the word stop into its file 'control'), or choose another --out",
    )


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        with contextlib.suppress(OSError):  # a file system that is away for a while
            os.utime(path)


def _remove_empty(run: Path, made: list[Path]) -> None:
    """Removes the folders that were made for a run that has left nothing in them."""
    if not made or not run.is_dir() or any(path.name != LOCK for path in run.iterdir()):
        return
    with contextlib.suppress(OSError):
        (run / LOCK).unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return str(int(psutil.boot_time()))
