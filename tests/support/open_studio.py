"""A studio that answers, for tests: in this process, on a free port."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from amtts_cli.studio.app import create_app
from amtts_cli.studio.jobs import JobTable
from amtts_cli.studio.login import Login
from amtts_cli.studio.strings import Say
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.workspace import Workspace


@dataclass(frozen=True)
class OpenStudio:
    """Where it answers, and what it works on."""

    url: str
    studio: Studio


def studio_of(folder: Path, *, largest_upload: int = 1 << 30) -> Studio:
    """A studio in English on a workspace."""
    workspace = Workspace.open(folder)
    jobs = JobTable(workspace.root, workspace.jobs)
    return Studio(workspace, jobs, Say("en"), largest_upload=largest_upload)


@contextlib.contextmanager
def open_studio(folder: Path, *, largest_upload: int = 1 << 30) -> Iterator[OpenStudio]:
    """Serves a workspace until the context is left."""
    studio = studio_of(folder, largest_upload=largest_upload)
    config = uvicorn.Config(
        create_app(studio, Login({})), host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1
    )
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield OpenStudio(f"http://127.0.0.1:{listening.getsockname()[1]}", studio)
    finally:
        server.should_exit = True
        thread.join(20)
