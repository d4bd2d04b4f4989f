"""Lines spoken as they come: JSON messages in, sound in binary messages out.

A message is the body of POST /v1/audio/speech without `stream_format`; coding pcm where it names none. Each line is
answered with {"type": "speech.audio.started"}, binary messages, and {"type": "speech.audio.done"}, or with an error.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from amtts_cli.server.context import Context, context_of, key_name_of, note
from amtts_cli.server.encode import rate_of
from amtts_cli.server.errors import ApiError, invalid, unavailable
from amtts_cli.server.faults import validation_error
from amtts_cli.server.routes import task_of
from amtts_cli.server.schemas import LineRequest
from amtts_cli.server.speaking import SpeechInfo
from amtts_core.units import Hertz

PATH = "/v1/audio/speech/websocket"
AHEAD = 16
"""Lines that are read before they are spoken."""
IDLE = 1001
router = APIRouter()


@router.websocket(PATH)
async def speak_lines(socket: WebSocket) -> None:
    """Speaks line after line until the client closes."""
    context = context_of(socket)
    if context.sockets >= context.settings.sockets:
        raise unavailable(
            f"{context.sockets} websockets are open; no more may be", 5.0, code="too_many_websockets"
        )
    context.sockets += 1
    context.metrics.sockets.set(context.sockets)
    try:
        await socket.accept()
        await _serve(socket, context)
    except WebSocketDisconnect:
        pass  # the client left
    finally:
        context.sockets -= 1
        context.metrics.sockets.set(context.sockets)


async def _serve(socket: WebSocket, context: Context) -> None:
    lines: asyncio.Queue[str | bytes | None] = asyncio.Queue(AHEAD)
    reader = asyncio.create_task(_read(socket, lines))
    try:
        number = 0
        while True:
            async with asyncio.timeout(context.settings.deadline):
                line = await lines.get()
            if line is None:
                return
            talk = asyncio.create_task(_line(socket, context, number, line))
            await asyncio.wait({talk, reader}, return_when=asyncio.FIRST_COMPLETED)
            if not talk.done() and reader.done():
                talk.cancel()  # the client left
                await asyncio.wait({talk})
                return
            await talk
            number += 1
            note(socket, lines=number)
    except TimeoutError:
        await socket.close(IDLE, "no line came")
    finally:
        reader.cancel()
        await asyncio.wait({reader})


async def _read(socket: WebSocket, lines: asyncio.Queue[str | bytes | None]) -> None:
    """Takes lines from the client; None at the end."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            break
        text = message.get("text")
        await lines.put(text if text is not None else message.get("bytes") or b"")
    await lines.put(None)


async def _line(socket: WebSocket, context: Context, number: int, line: str | bytes) -> None:
    """Speaks one line; what is wrong with it is info, and the next may be better."""
    try:
        asked = _parse(line)
        task, info = task_of(context, asked, key_name_of(socket)), SpeechInfo()

        def wanted(own: Hertz) -> Hertz:
            return asked.sample_rate or rate_of(task.audio_format, own)

        pieces = context.speaking.stream(task, info, rate_of=wanted)
        try:
            begun = False
            async for piece in pieces:
                if not begun:
                    begun = True
                    started = {
                        "type": "speech.audio.started",
                        "line": number,
                        "sample_rate": info.sample_rate,
                    }
                    await socket.send_json(started | {"unread": info.unread or {}})
                await socket.send_bytes(piece)
        finally:
            await pieces.aclose()
        await socket.send_json({"type": "speech.audio.done", "line": number, "seconds": round(info.audio, 3)})
    except ApiError as refusal:
        context.metrics.failures.labels(refusal.code).inc()
        retry = {"retry_after": refusal.retry_after} if refusal.retry_after else {}
        await socket.send_json({"type": "error", "line": number, **refusal.body(), **retry})


def _parse(line: str | bytes) -> LineRequest:
    if isinstance(line, bytes):
        raise invalid("a line is a JSON message of text, not a binary one")
    try:
        return LineRequest.model_validate_json(line)
    except ValidationError as error:
        raise validation_error(error.errors()) from None
