"""A server on a free port of this machine, in a thread, with voices that a test can hold up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

import amtts
from amtts_cli.server.app import create_app
from amtts_cli.server.context import Context
from amtts_cli.server.keys import Keys
from amtts_cli.server.run import uvicorn_config
from amtts_cli.server.settings import ServerSettings


@dataclass
class Hold:
    """Lets passes of the network through while it is open, and counts them."""

    open: threading.Event = field(default_factory=threading.Event)
    passes: int = 0
    loads: int = 0
    fails: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open.set()

    def load(self, source: str, **options: Any) -> amtts.Voice:
        """As `amtts.load`, with passes that wait."""
        self.loads, self.options = self.loads + 1, options
        if self.fails:
            raise amtts.AmttsError(f"{source} is damaged")
        voice = amtts.load(source, **options)
        speak = voice.synthesizer.backend.synthesize

        def held(requests: Sequence[Any]) -> list[np.ndarray]:
            self.passes += 1
            assert self.open.wait(30)
            return speak(requests)

        voice.synthesizer.backend.synthesize = held  # type: ignore[method-assign]
        return voice


@dataclass
class Server:
    """A running server."""

    url: str
    context: Context
    hold: Hold

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])


@contextlib.contextmanager
def served(
    run: Path | None, *, keys: dict[str, str] | None = None, wyoming: int | None = None, **settings: Any
) -> Iterator[Server]:
    """Serves a voice named `selam`; `settings` are those of `ServerSettings`."""
    hold, found = Hold(), []
    values = {"voices": {"selam": str(run)}, "port": 0, "drain": 2.0, **settings}
    chosen = ServerSettings(**values)

    async def started(context: Context) -> None:
        found.append(context)

    services: tuple[Any, ...] = ()
    if wyoming is not None:
        from functools import partial

        from amtts_cli.server.wyoming import serve_wyoming

        services = (partial(serve_wyoming, host="127.0.0.1", port=wyoming),)
    app = create_app(chosen, Keys(keys or {}), load=hold.load, services=services, on_start=started)
    config = uvicorn_config(app, chosen)
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        until(lambda: server.started and (found[0].ready or found[0].problem != "no voice has spoken yet"))
        yield Server(url, found[0], hold)
    finally:
        hold.open.set()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def until(holds: Any, *, seconds: float = 30) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)
