"""How busy the machine is: processors, memory, GPUs."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass

import psutil

_KEPT = 3.0  # seconds that a reading is used again
_PATIENCE = 3.0
_QUERY = "name,utilization.gpu,memory.used,memory.total"


@dataclass(frozen=True)
class Gpu:
    """A GPU: name, share of the time it computed, bytes used and there are."""

    name: str
    busy: float
    used: float
    total: float


@dataclass(frozen=True)
class Machine:
    """A reading.

    Attributes:
        cores: logical processors.
        busy: share of them that computes, 0 to 1.
        used, total: bytes of memory.
        gpus: empty where there is none that nvidia-smi knows.
    """

    cores: int
    busy: float
    used: int
    total: int
    gpus: tuple[Gpu, ...]


class Watch:
    """Reads the machine, at most every few seconds however many browsers ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at, self._last = 0.0, None
        psutil.cpu_percent()  # the first call counts from here

    def read(self) -> Machine:
        """The machine now."""
        with self._lock:
            now = time.monotonic()
            if self._last is None or now - self._read_at > _KEPT:
                memory = psutil.virtual_memory()
                self._last = Machine(
                    psutil.cpu_count() or 1,
                    psutil.cpu_percent() / 100,
                    memory.total - memory.available,
                    memory.total,
                    gpus(),
                )
                self._read_at = now
            return self._last

    _last: Machine | None


def gpus() -> tuple[Gpu, ...]:
    """GPUs as nvidia-smi tells them; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        said = subprocess.run(
            [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(found for line in said.splitlines() if (found := _gpu(line)) is not None)


def _gpu(line: str) -> Gpu | None:
    """One line of nvidia-smi; None where it has no figures (a GPU that is split shows "[N/A]")."""
    cells = [cell.strip() for cell in line.rsplit(",", 3)]
    try:
        busy, used, total = (float(cell) for cell in cells[1:])
    except ValueError:
        return None
    return Gpu(cells[0], busy / 100, used * 2**20, total * 2**20)
