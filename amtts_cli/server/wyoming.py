"""The Wyoming protocol, by which Home Assistant asks for speech; it knows no keys."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

import amtts
from amtts_cli.server.context import Context
from amtts_cli.server.errors import ApiError, invalid
from amtts_cli.server.speaking import SpeechInfo, SpeechTask

KEY_NAME = "wyoming"
_LOG = logging.getLogger("amtts.server")
_LARGEST = 1 << 16
"""Bytes of a message."""
_ENDS = "።፧!?\n"


@asynccontextmanager
async def serve_wyoming(context: Context, *, host: str, port: int) -> AsyncIterator[None]:
    """Listens until the context ends."""
    handlers: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(handlers) >= max(1, context.settings.sockets):
            writer.close()
            return
        task = asyncio.create_task(WyomingHandler(reader, writer, context).run())
        handlers.add(task)
        task.add_done_callback(lambda done: _ended(done, handlers))

    server = await asyncio.start_server(connected, host, port, limit=_LARGEST)
    _LOG.info("Wyoming listens on %s:%d", *server.sockets[0].getsockname()[:2])
    try:
        yield
    finally:
        server.close()
        for task in handlers:
            task.cancel()


def _ended(task: asyncio.Task[None], handlers: set[asyncio.Task[None]]) -> None:
    handlers.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.info("a Wyoming connection ended: %s", type(error).__name__)


class _Bounded:
    """A reader that refuses large messages."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        return await self._reader.readline()

    async def readexactly(self, size: int) -> bytes:
        if size > _LARGEST:
            raise ValueError(f"a message of {size} bytes is too large")
        return await self._reader.readexactly(size)


class WyomingHandler(AsyncEventHandler):
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: Context) -> None:
        super().__init__(reader, writer)
        self.reader = _Bounded(reader)  # type: ignore[assignment]
        self._context = context
        self._voice: SynthesizeVoice | None = None
        self._pending: str | None = None  # text of a stream that no sentence end has closed
        self._begun = False

    async def handle_event(self, event: Event) -> bool:
        """Answers a message; one that cannot be answered gets an error, and the connection goes on."""
        try:
            await self._answer(event)
        except ApiError as refusal:
            await self._refuse(refusal)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            await self._refuse(invalid(f"a message that cannot be read ({type(error).__name__})"))
        return True

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(describe(self._context).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif SynthesizeStart.is_type(event.type):
            self._voice, self._pending, self._begun = SynthesizeStart.from_event(event).voice, "", False
        elif SynthesizeChunk.is_type(event.type) and self._pending is not None:
            await self._add_text(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type) and self._pending is not None:
            await self._finish()
        elif Synthesize.is_type(event.type) and self._pending is None:  # within a stream it repeats its text
            asked = Synthesize.from_event(event)
            await self._speak(asked.text, asked.voice)
            await self._stop()

    async def _add_text(self, text: str) -> None:
        """Speaks the sentences that are complete, and keeps the rest."""
        self._pending = (self._pending or "") + text
        self._check_length(self._pending)
        end = max(self._pending.rfind(mark) for mark in _ENDS) + 1
        done, self._pending = self._pending[:end], self._pending[end:]
        if any(character.isalnum() for character in done):
            await self._speak(done, self._voice)

    async def _finish(self) -> None:
        rest, self._pending = self._pending or "", None
        if any(character.isalnum() for character in rest):
            await self._speak(rest, self._voice)
        await self._stop()
        await self.write_event(SynthesizeStopped().event())

    async def _speak(self, text: str, voice: SynthesizeVoice | None) -> None:
        self._check_length(text)
        name, speaker = self._context.pool.resolve(str((voice and voice.name) or "default"))
        speaker = str((voice and voice.speaker) or speaker)
        task = SpeechTask(
            text=text,
            voice=name,
            speaker=speaker,
            audio_format="pcm",
            key_name=KEY_NAME,
            arrived=time.monotonic(),
        )
        info = SpeechInfo()
        pieces = self._context.speaking.stream(task, info, rate_of=lambda own: own)
        try:
            async for piece in pieces:
                await self._send(piece, info)
        finally:
            await pieces.aclose()

    async def _send(self, piece: bytes, info: SpeechInfo) -> None:
        audio: dict[str, Any] = {"rate": info.sample_rate, "width": 2, "channels": 1}
        if not self._begun:
            self._begun = True
            await self.write_event(AudioStart(**audio).event())
        await self.write_event(AudioChunk(audio=piece, **audio).event())

    async def _stop(self) -> None:
        if self._begun:
            self._begun = False
            await self.write_event(AudioStop().event())

    async def _refuse(self, refusal: ApiError) -> None:
        self._context.metrics.failures.labels(refusal.code).inc()
        await self._stop()
        await self.write_event(Error(text=refusal.message, code=refusal.code).event())

    def _check_length(self, text: str) -> None:
        if not isinstance(text, str) or any("\ud800" <= c <= "\udfff" for c in text):
            raise invalid("the text is no text")
        if len(text) > (most := self._context.settings.max_characters):
            raise invalid(f"the text has {len(text)} characters; {most} are allowed")


def describe(context: Context) -> Info:
    """The server's voices, as Home Assistant lists them."""
    by = Attribution(name="amtts", url="")
    voices = []
    for name in context.pool.names:
        found = context.pool.loaded(name)
        speakers = found.voice.speakers if found is not None else ()
        voices.append(
            TtsVoice(
                name=name,
                attribution=by,
                installed=True,
                description=name,
                version=None,
                languages=[found.voice.language if found is not None else "am"],
                speakers=[TtsVoiceSpeaker(name=speaker) for speaker in speakers] or None,
            )
        )
    program = TtsProgram(
        name="amtts",
        attribution=by,
        installed=True,
        description="Amharic speech",
        version=str(amtts.__version__),
        voices=voices,
        supports_synthesize_streaming=True,
    )
    return Info(tts=[program])
