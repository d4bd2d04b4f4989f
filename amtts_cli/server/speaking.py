"""From a request to speech: a place in the queue, a thread, a deadline, and an end when nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from amtts_cli.server.encode import encode, encode_pieces
from amtts_cli.server.errors import ApiError, invalid, late
from amtts_cli.server.gate import Shares
from amtts_cli.server.metrics import Metrics
from amtts_cli.server.settings import ServerSettings
from amtts_cli.server.voices import LoadedVoice, VoicePool
from amtts_cli.server.worker import CURRENT, Job, Late, Stopped
from amtts_core.errors import AmttsError
from amtts_core.units import Hertz, Seconds

if TYPE_CHECKING:
    import amtts

T = TypeVar("T")
AHEAD = 8
"""Pieces that are made before the client has taken the first."""
_POLL = 0.2


@dataclass(frozen=True, kw_only=True)
class SpeechTask:
    """What is to be spoken.

    Attributes:
        voice: name in the pool.
        speaker: of the voice, empty for its first.
        audio_format: key of `encode.MEDIA`.
        sample_rate: of the response; None takes the format's usual one.
        language: that the voice has to read; None takes any.
        key_name: name of the key.
        arrived: on the clock of `time.monotonic`.
    """

    text: str
    voice: str
    speaker: str = ""
    audio_format: str = "wav"
    speed: float = 1.0
    seed: int = 0
    sample_rate: Hertz | None = None
    language: str | None = None
    key_name: str = ""
    arrived: float


@dataclass
class SpeechInfo:
    """What is known of a speech while and after it is made.

    Attributes:
        sample_rate: of the response, Hz.
        unread: characters that the voice does not know, with counts.
        audio: seconds of speech so far.
        queued: seconds until its turn.
        first: seconds until its first byte.
    """

    sample_rate: Hertz = 0
    unread: dict[str, int] | None = None
    audio: Seconds = 0.0
    queued: Seconds = 0.0
    first: Seconds = 0.0


class Speaking:
    """Speaks what requests ask for; of one event loop.

    Args:
        settings: limits and times.
        pool: voices.
        metrics: takes figures.
    """

    def __init__(self, settings: ServerSettings, pool: VoicePool, metrics: Metrics) -> None:
        self._settings, self._pool, self._metrics = settings, pool, metrics
        self._shares = Shares(settings.per_key)

    async def whole(self, task: SpeechTask, info: SpeechInfo, *, rate_of: Callable[[Hertz], Hertz]) -> bytes:
        """A whole file.

        Raises:
            ApiError: the queue is full, the deadline passes, or the text cannot be spoken.
        """

        def make(voice: amtts.Voice, job: Job) -> bytes:
            speech = speak_whole(voice, task, job)
            info.unread, info.audio = dict(speech.unread), speech.duration
            info.sample_rate = rate_of(speech.sample_rate)
            return encode(
                speech.samples, task.audio_format, sample_rate=speech.sample_rate, wanted=info.sample_rate
            )

        return await self.made(task, info, make)

    async def made(self, task: SpeechTask, info: SpeechInfo, make: Callable[[amtts.Voice, Job], T]) -> T:
        """What `make` returns, called in a thread with a place in the queue.

        Raises:
            ApiError: as `whole`.
        """
        async with self._admitted(task, info) as (loaded, job, start):
            work = start(lambda: make(loaded.voice, job))
            try:
                async with asyncio.timeout(max(0.0, job.deadline - time.monotonic())):
                    result = await asyncio.shield(work)
            except TimeoutError:
                raise late(self._settings.deadline) from None
        self._count(task, info)
        return result

    async def stream(
        self, task: SpeechTask, info: SpeechInfo, *, rate_of: Callable[[Hertz], Hertz]
    ) -> AsyncGenerator[bytes]:
        """Pieces of a file as they are made; close it when nobody listens any more.

        Raises:
            ApiError: as `whole`; before the first piece, where it is about the text.
        """
        async with self._admitted(task, info) as (loaded, job, start):
            pipe = _Pipe(job, asyncio.get_running_loop())
            work = start(lambda: _stream(loaded.voice, task, info, pipe, rate_of))
            work.add_done_callback(lambda _: pipe.end())
            while True:
                try:
                    async with asyncio.timeout(max(0.0, job.deadline - time.monotonic())):
                        piece = await pipe.get()
                except TimeoutError:
                    raise late(self._settings.deadline) from None
                if piece is None:
                    break
                yield piece
            await work
        self._count(task, info)

    @asynccontextmanager
    async def _admitted(
        self, task: SpeechTask, info: SpeechInfo
    ) -> AsyncIterator[tuple[LoadedVoice, Job, Callable[[Callable[[], T]], asyncio.Future[T]]]]:
        """A place for a task; it is given back when the thread that works for it has ended."""
        deadline = task.arrived + self._settings.deadline
        share = self._shares.acquire(task.key_name)
        try:
            place = await self._pool.gate(task.voice).enter(deadline, self._settings.deadline)
        except BaseException:
            share.release()
            raise
        info.queued = time.monotonic() - task.arrived
        self._metrics.queued.labels(task.voice).observe(info.queued)
        job = Job(deadline)
        started: list[asyncio.Future[Any]] = []

        def give_back(_: Any = None) -> None:
            place.release()
            share.release()

        def start(work: Callable[[], T]) -> asyncio.Future[T]:
            future = asyncio.get_running_loop().run_in_executor(loaded.jobs, _run, job, work)
            started.append(future)
            future.add_done_callback(_retrieve)
            future.add_done_callback(give_back)
            return future

        try:
            async with self._pool.use(task.voice) as loaded:
                if task.language not in (None, loaded.voice.language):
                    raise invalid(
                        f"voice '{task.voice}' reads '{loaded.voice.language}', not {task.language!r}",
                        param="language",
                    )
                yield loaded, job, start
        except Stopped:
            raise ApiError(503, "the voice was unloaded", code="voice_unavailable", retry_after=1) from None
        except Late:
            raise late(self._settings.deadline) from None
        except AmttsError as error:
            raise invalid(str(error), param="input") from None
        finally:
            job.stop()
            if not started:
                give_back()

    def _count(self, task: SpeechTask, info: SpeechInfo) -> None:
        spent = time.monotonic() - task.arrived - info.queued
        self._metrics.audio.labels(task.voice).inc(info.audio)
        self._metrics.work.labels(task.voice).inc(spent)
        if info.audio:
            self._metrics.factor.labels(task.voice).observe(spent / info.audio)


class _Pipe:
    """Hands pieces from a thread to the event loop; the thread waits where the client is slow."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self._job, self._loop = job, loop
        self._room = threading.Semaphore(AHEAD)
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, piece: bytes) -> None:
        """From the thread."""
        while not self._room.acquire(timeout=_POLL):
            self._job.check()
        self._job.check()
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def end(self) -> None:
        """From the event loop: no more comes."""
        self._pieces.put_nowait(None)

    async def get(self) -> bytes | None:
        """The next piece; None at the end."""
        piece = await self._pieces.get()
        self._room.release()
        return piece


def _run(job: Job, work: Callable[[], T]) -> T:
    """Runs in a thread of a voice, on behalf of a job."""
    token = CURRENT.set(job)
    try:
        job.check()
        return work()
    finally:
        CURRENT.reset(token)


def speak_whole(voice: amtts.Voice, task: SpeechTask, job: Job) -> amtts.Speech:
    """Speaks a task to its end, unless nobody waits for it any more."""
    return voice.speak(
        task.text,
        speaker=task.speaker,
        speed=task.speed,
        seed=task.seed,
        on_progress=lambda done, total: job.check(),
    )


def _stream(
    voice: amtts.Voice, task: SpeechTask, info: SpeechInfo, pipe: _Pipe, rate_of: Callable[[Hertz], Hertz]
) -> None:
    stream = voice.stream(task.text, speaker=task.speaker, speed=task.speed, seed=task.seed)
    info.unread, info.sample_rate = dict(stream.unread), rate_of(stream.sample_rate)

    def counted() -> Any:
        for samples in stream:
            info.audio += len(samples) / stream.sample_rate
            yield samples

    try:
        for data in encode_pieces(
            counted(), task.audio_format, sample_rate=stream.sample_rate, wanted=info.sample_rate
        ):
            pipe.put(data)
    finally:
        stream.close()


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Marks an error as seen; whoever still waits gets it from the future itself."""
    if not future.cancelled():
        future.exception()
