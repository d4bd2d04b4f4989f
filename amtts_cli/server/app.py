"""The ASGI application of `amtts serve`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

import amtts
from amtts_cli.server import routes, websocket
from amtts_cli.server.context import Context
from amtts_cli.server.errors import ApiError
from amtts_cli.server.faults import add_fault_handlers
from amtts_cli.server.front import Front
from amtts_cli.server.keys import Keys
from amtts_cli.server.metrics import Metrics
from amtts_cli.server.settings import ServerSettings
from amtts_cli.server.speaking import Speaking
from amtts_cli.server.voices import Load, VoicePool
from amtts_core.memory import return_freed_memory

_LOG = logging.getLogger("amtts.server")
_GREETING = "ሰላም።"
_HOUSEKEEPING = 5.0
_TRIM = 30.0
Service = Callable[[Context], Any]


def create_app(
    settings: ServerSettings,
    keys: Keys,
    *,
    load: Load = amtts.load,
    services: tuple[Service, ...] = (),
    on_start: Callable[[Context], Awaitable[None]] | None = None,
    speaks_first: bool = False,
) -> ASGIApp:
    """The application.

    Args:
        settings: voices, limits, times.
        keys: who may use it.
        load: opens a voice.
        services: asynchronous contexts that live as long as the application, such as the Wyoming protocol.
        on_start: called when the event loop runs.
        speaks_first: no request is taken before a voice has spoken.
    """
    metrics = Metrics()
    pool = VoicePool(settings, metrics, load=load)
    context = Context(settings, keys, metrics, pool, Speaking(settings, pool, metrics))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for service in services:
                await stack.enter_async_context(service(context))
            if on_start is not None:
                await on_start(context)
            tasks = [asyncio.create_task(_warm_up(context)), asyncio.create_task(_keep_house(context))]
            try:
                if speaks_first:
                    await tasks[0]
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        pool.close()

    app = FastAPI(
        title="amtts",
        version=str(amtts.__version__),
        description="Speech from text, with OpenAI's routes.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.context = context
    app.include_router(routes.router)
    app.include_router(websocket.router)
    add_fault_handlers(app)
    app.openapi = lambda: openapi_of(app)  # type: ignore[method-assign]
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    return Front(app, context)


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the key that requests send."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}]
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)  # these are 400 here
        app.openapi_schema = made
    return app.openapi_schema


async def _warm_up(context: Context) -> None:
    """Loads the first voice and lets it speak."""
    name = context.settings.default_voice
    try:
        async with context.pool.use(name) as found:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(found.jobs, found.voice.speak, _GREETING)
            context.ready = True
            _LOG.info("ready: voice %s has spoken", name)
    except ApiError as refusal:
        context.problem = refusal.message
    except amtts.AmttsError as error:
        context.problem = f"voice '{name}' cannot speak {_GREETING!r}"
        _LOG.error("%s: %s", context.problem, error)


async def _keep_house(context: Context) -> None:
    """Unloads voices that nobody uses, and hands back memory that was freed."""
    trimmed = time.monotonic()
    while True:
        await asyncio.sleep(min(_HOUSEKEEPING, context.settings.idle))
        context.pool.unload_idle()
        if time.monotonic() - trimmed > _TRIM:
            await asyncio.to_thread(return_freed_memory)
            trimmed = time.monotonic()
