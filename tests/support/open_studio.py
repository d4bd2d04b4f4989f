"""A studio that answers, for tests: in this process, on a free port."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from recordings import make_corpus

from amtts_cli.studio.app import create_app
from amtts_cli.studio.jobs import JobTable
from amtts_cli.studio.login import Login
from amtts_cli.studio.strings import Say
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.workspace import Workspace
from amtts_core.storage.json_lines import write_jsonl


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


def many(folder: Path, count: int) -> Path:
    """A dataset of so many rows without recordings."""
    rows = [
        {
            "id": f"u{n:05}",
            "audio_filepath": f"audio/u{n:05}.flac",
            "duration": 2.0,
            "text": f"ቁጥር {n}",
            "speaker": "አበበ",
        }
        for n in range(count)
    ]
    write_jsonl(folder / "manifest.jsonl", rows)
    write_jsonl(folder / "train.jsonl", rows)
    return folder


def two_texts(folder: Path, count: int = 6) -> Path:
    """A table with two columns of text, of which only a person knows which one is spoken."""
    source = make_corpus(folder, count, header="")
    table = source / "metadata.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("".join(f"{row}|ሌላ ጽሑፍ {n} ነው\n" for n, row in enumerate(rows)), encoding="utf-8")
    return source
