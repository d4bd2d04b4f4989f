"""A running studio: started, killed and started again by tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_PATIENCE = 90.0


class RunningStudio:
    """`amtts studio` as a process; a context that ends it.

    Args:
        folder: workspace.
        log: file for what it says.
        options: more arguments.
        env: more environment variables.
    """

    def __init__(self, folder: Path, log: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self._words = [sys.executable, "-m", "amtts_cli", "studio", "--folder", str(folder), "--port", "0"]
        self._words += options
        self._log, self._env = log, {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        self.url = ""

    def __enter__(self) -> RunningStudio:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._words, stdout=log, stderr=subprocess.STDOUT, env=self._env, start_new_session=True
            )
        until = time.monotonic() + _PATIENCE
        while not (found := _ADDRESS.search(self.said)):
            assert self._process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.1)
        self.url = f"http://127.0.0.1:{found[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def said(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
