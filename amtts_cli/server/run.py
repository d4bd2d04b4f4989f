"""Runs the server: addresses, signals, log."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from amtts_cli.server.keys import VARIABLE, Keys
from amtts_cli.server.settings import ServerSettings, is_loopback
from amtts_core.errors import AmttsError
from amtts_core.memory import keep_few_kernels

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from amtts_cli.server.context import Context

_LOG = logging.getLogger("amtts.server")
_LARGEST_HEADER = 16_384
_KEEP_ALIVE = 15


def check_address(settings: ServerSettings, keys: Keys) -> None:
    """Refuses to be open to other machines without a key.

    Raises:
        AmttsError: it would be.
    """
    if not is_loopback(settings.host) and not keys:
        raise AmttsError(
            f"--host {settings.host} lets other machines in, and there is no key",
            remedy=f"Add --keys FILE with name:key lines, or set {VARIABLE}",
        )


def run(
    settings: ServerSettings,
    keys: Keys,
    *,
    read_keys_again: Callable[[], Keys],
    wyoming: tuple[str, int] | None = None,
) -> None:
    """Serves until SIGTERM or Ctrl-C; then no request is taken any more, and those under way are answered.

    Args:
        settings: voices, limits, times.
        keys: who may use it.
        read_keys_again: called on SIGHUP.
        wyoming: address and port for the Wyoming protocol.

    Raises:
        AmttsError: the address cannot be listened on, or a package is missing.
    """
    check_address(settings, keys)
    keep_few_kernels()
    try:
        import uvicorn

        from amtts_cli.server.app import create_app
    except ModuleNotFoundError as error:
        raise AmttsError(
            f"the server needs the package {error.name}", remedy="pip install 'amtts[server]'"
        ) from None
    services = () if wyoming is None else (_wyoming(*wyoming),)
    app = create_app(settings, keys, services=services, on_start=partial(_watch_hangup, read_keys_again))
    config = uvicorn_config(app, settings)
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise AmttsError(
            f"{settings.host}:{settings.port} cannot be listened on", remedy="Choose another --port"
        ) from None
    listening.listen(
        config.backlog
    )  # whoever reads the address may connect, and waits until the server answers
    host, port = listening.getsockname()[:2]
    _LOG.info("listening on http://%s:%d", host, port)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def uvicorn_config(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    """How uvicorn serves: with every limit of the settings, and with no log of its own."""
    import uvicorn

    from amtts_cli.server.connections import patient_protocol

    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=patient_protocol(send_within=settings.body_timeout, read_within=settings.write_timeout),
        ws="websockets-sansio",
        ws_max_size=settings.max_body,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.drain)),
        h11_max_incomplete_event_size=_LARGEST_HEADER,
    )


def _wyoming(host: str, port: int) -> Callable[[Context], object]:
    try:
        from amtts_cli.server.wyoming import serve_wyoming
    except ModuleNotFoundError:
        raise AmttsError(
            "--wyoming needs the package wyoming", remedy="pip install 'amtts[server]'"
        ) from None
    return partial(serve_wyoming, host=host, port=port)


async def _watch_hangup(read_keys_again: Callable[[], Keys], context: Context) -> None:
    """SIGHUP reads keys, recordings and voices again."""
    tasks: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = asyncio.create_task(reload(context, read_keys_again))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    with suppress(NotImplementedError, RuntimeError, ValueError):  # no such signal, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)


async def reload(context: Context, read_keys_again: Callable[[], Keys]) -> None:
    """Reads keys, recordings and voices again; what cannot be read stays as it was."""
    try:
        context.keys.replace(read_keys_again())
        await context.pool.reload()
    except AmttsError as error:
        _LOG.error("not all could be reloaded: %s", error)
    else:
        _LOG.info("keys, recordings and voices were reloaded")
