"""`amtts serve`: speech over HTTP, with OpenAI's routes."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from amtts_core.errors import AmttsError


def serve(
    voice: Annotated[
        list[str] | None,
        typer.Option(
            "--voice",
            help="NAME=RUN, NAME=CHECKPOINT, NAME=base or NAME=org/name on the hub; the first is the default.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File of name:key lines; AMTTS_API_KEY adds one.")
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option("--references", help="Folder of recordings; each makes the voice NAME+RECORDING."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    wyoming: Annotated[
        int | None,
        typer.Option("--wyoming", min=1, max=65535, help="Port for Home Assistant's Wyoming protocol."),
    ] = None,
    wyoming_host: Annotated[
        str,
        typer.Option(
            "--wyoming-host",
            help="Address of the Wyoming port. The protocol has no keys: who reaches it may speak.",
        ),
    ] = "127.0.0.1",
    active: Annotated[int, typer.Option("--active", min=1, help="Requests of a voice spoken in turns.")] = 8,
    waiting: Annotated[int, typer.Option("--waiting", min=0, help="Requests of a voice that may wait.")] = 64,
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            min=1,
            help="Sentences of several requests that share a pass; more than 1 is faster on a GPU, and the last bit of "
            "a sample depends on the company.",
        ),
    ] = 1,
    replicas: Annotated[
        str,
        typer.Option(
            "--replicas",
            help="Processes, or the fewest and the most, such as 1-4; kept by Ray Serve on this machine or on the "
            "cluster of RAY_ADDRESS (pip install 'amtts[ray]').",
        ),
    ] = "",
    per_key: Annotated[int, typer.Option("--per-key", min=1, help="Requests of one key at a time.")] = 16,
    deadline: Annotated[
        float, typer.Option("--deadline", min=0.1, help="Seconds in which a request is answered.")
    ] = 120.0,
    drain: Annotated[
        float, typer.Option("--drain", min=0, help="Seconds that requests under way get at the end.")
    ] = 30.0,
    idle: Annotated[
        float, typer.Option("--idle", min=1, help="Seconds after which an unused voice is unloaded.")
    ] = 900.0,
    max_characters: Annotated[
        int, typer.Option("--max-characters", min=1, help="Longest text of a request.")
    ] = 4096,
    max_loaded: Annotated[int, typer.Option("--max-loaded", min=1, help="Voices in memory at a time.")] = 4,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A name besides localhost by which it is called.")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option("--cors", help="Origin of web pages that may call it, https://…")
    ] = None,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Write texts into the log.")] = False,
) -> None:
    """Serve speech over HTTP, with the routes of OpenAI's clients.

    Example: amtts serve --voice selam=run
    """
    from amtts_cli.server.keys import read_keys
    from amtts_cli.server.run import check_address, run
    from amtts_cli.server.settings import ServerSettings, parse_replicas, parse_voices

    values: dict[str, Any] = {
        "voices": parse_voices(voice or []),
        "references": references,
        "device": device,
        "host": host,
        "port": port,
        "active": active,
        "waiting": waiting,
        "together": batch,
        "per_key": per_key,
        "deadline": deadline,
        "drain": drain,
        "idle": idle,
        "max_characters": max_characters,
        "max_body": max(65_536, 16 * max_characters),
        "max_loaded": max_loaded,
        "allowed_hosts": tuple(allow_host or ()),
        "origins": tuple(cors or ()),
        "log_texts": log_texts,
    }
    settings = ServerSettings(**values)
    again = partial(read_keys, keys, os.environ)
    read = again()
    check_address(settings, read)
    for source in settings.voices.values():
        _check_source(source)
    for noisy in ("uvicorn", "websockets", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if replicas:
        if wyoming is not None:
            raise AmttsError(
                "--wyoming does not go with --replicas", remedy="Start a server of its own for Home Assistant"
            )
        from amtts_cli.server.replicas import run_replicas

        run_replicas(settings, replicas=parse_replicas(replicas), read_keys_again=again)
        return
    run(
        settings,
        read,
        read_keys_again=again,
        wyoming=None if wyoming is None else (wyoming_host, wyoming),
    )


def _check_source(source: str) -> None:
    """Refuses a folder that is not there before anything is started; names on the hub are looked up when loaded."""
    from amtts_core.checkpoints.shipped import SHIPPED, shipped_checkpoint

    path = Path(source)
    if (
        shipped_checkpoint(path) is None
        and not path.exists()
        and (source.count("/") != 1 or path.is_absolute() or source.startswith("."))
    ):
        raise AmttsError(
            f"--voice {source}: there is no such folder",
            remedy=f"Give a run, a checkpoint, org/name on the hub, or a voice that comes along: {', '.join(SHIPPED)}",
        )
