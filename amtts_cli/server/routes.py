"""The HTTP routes: OpenAI's, and a few more."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

import amtts
from amtts_cli.server import metrics
from amtts_cli.server.context import Context, context_of, key_name_of, note
from amtts_cli.server.encode import MEDIA, SIZED, encode, rate_of, rates_of
from amtts_cli.server.errors import ApiError, CutOff, invalid
from amtts_cli.server.schemas import (
    ErrorReply,
    Model,
    ModelList,
    NormalizeReply,
    NormalizeRequest,
    SpeakRequest,
    SpeechRequest,
    TimestampsReply,
    TimestampsRequest,
    VoiceInfo,
    VoiceList,
    WordTime,
)
from amtts_cli.server.speaking import SpeechInfo, SpeechTask, speak_whole
from amtts_cli.server.worker import Job
from amtts_core.errors import AmttsError
from amtts_core.units import Hertz

T = TypeVar("T")
MODELS = ("amtts", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")
_POLL = 0.2
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": meaning}
    for status, meaning in {
        400: "The request cannot be answered as it is.",
        401: "The key is missing or wrong.",
        404: "There is no such voice or model.",
        413: "The body is too large.",
        429: "The queue is full; Retry-After says when to try again.",
        503: "The voice cannot be used now.",
        504: "The speech was not done in time.",
    }.items()
}
_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The speech.",
        "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA.values()}
        | {"text/event-stream": {}},
    }
}
router = APIRouter(responses=_ERRORS)


@router.post("/v1/audio/speech", response_class=Response, responses=_AUDIO)
async def create_speech(request: Request, asked: SpeechRequest) -> Response:
    """Speaks a text; as `audio.speech.create` of OpenAI's clients."""
    context = context_of(request)
    task, info = task_of(context, asked, key_name_of(request)), SpeechInfo()
    note(request, voice=task.voice, characters=len(task.text), format=task.audio_format)
    if context.settings.log_texts:
        note(request, text=task.text)

    def wanted(own: Hertz) -> Hertz:
        return asked.sample_rate or rate_of(task.audio_format, own)

    if asked.stream_format is None and task.audio_format in SIZED:
        data = await unless_gone(request, context.speaking.whole(task, info, rate_of=wanted))
        _first_byte(request, context, task, info)
        return Response(data, headers=_headers(info), media_type=MEDIA[task.audio_format])
    pieces = context.speaking.stream(task, info, rate_of=wanted)
    try:
        first = await unless_gone(request, anext(pieces, b""))
    except BaseException:
        await pieces.aclose()
        raise
    _first_byte(request, context, task, info)
    body = _with_first(first, pieces)
    if asked.stream_format == "sse":
        events = _events(body, task, info)
        return StreamingResponse(events, headers=_headers(info), media_type="text/event-stream")
    return StreamingResponse(body, headers=_headers(info), media_type=MEDIA[task.audio_format])


@router.post("/v1/audio/speech/timestamps")
async def create_speech_with_timestamps(request: Request, asked: TimestampsRequest) -> TimestampsReply:
    """Speaks a text and tells when each word is spoken, found by forced alignment."""
    context = context_of(request)
    task, info = task_of(context, asked, key_name_of(request)), SpeechInfo()
    note(request, voice=task.voice, characters=len(task.text), format=task.audio_format)

    def make(voice: amtts.Voice, job: Job) -> TimestampsReply:
        speech = speak_whole(voice, task, job)
        job.check()
        info.sample_rate = asked.sample_rate or rate_of(task.audio_format, speech.sample_rate)
        info.audio = speech.duration
        audio = encode(
            speech.samples, task.audio_format, sample_rate=speech.sample_rate, wanted=info.sample_rate
        )
        return TimestampsReply(
            audio=base64.b64encode(audio).decode(),
            format=asked.response_format,
            sample_rate=info.sample_rate,
            duration=round(speech.duration, 4),
            text=speech.text,
            words=[WordTime(word=w.text, start=round(w.start, 3), end=round(w.end, 3)) for w in speech.words],
            unread=dict(speech.unread),
        )

    return await unless_gone(request, context.speaking.made(task, info, make))


@router.post("/v1/text/normalize")
async def normalize_text(request: Request, asked: NormalizeRequest) -> NormalizeReply:
    """A text as it is read aloud."""
    _check_length(context_of(request), asked.input)
    try:
        text = await asyncio.to_thread(amtts.normalize, asked.input, language=asked.language)
    except AmttsError as error:
        raise invalid(str(error), param="language") from None
    return NormalizeReply(text=text, language=asked.language)


@router.get("/v1/models")
async def list_models() -> ModelList:
    """Models that a request may name."""
    return ModelList(data=[Model(id=name) for name in MODELS])


@router.get("/v1/models/{model}")
async def get_model(model: str) -> Model:
    """A model that a request may name."""
    _check_model(model)
    return Model(id=model)


@router.get("/v1/audio/voices")
async def list_voices(request: Request) -> VoiceList:
    """Voices that a request may name."""
    pool = context_of(request).pool
    return VoiceList(voices=[_voice_info(name, pool.loaded(name)) for name in pool.names])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether a voice has spoken."""
    context = context_of(request)
    if context.ready:
        return JSONResponse({"status": "ready"})
    raise ApiError(503, context.problem, code="not_ready", retry_after=1)


@router.get("/metrics", response_class=Response)
async def get_metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(context_of(request).metrics.text(), media_type=metrics.CONTENT_TYPE)


def task_of(context: Context, asked: SpeakRequest, key_name: str) -> SpeechTask:
    """What a request orders.

    Raises:
        ApiError: it names what does not exist, or is too long.
    """
    audio_format = getattr(asked, "response_format", "pcm")
    _check_model(asked.model)
    _check_length(context, asked.input)
    if asked.sample_rate and (rates := rates_of(audio_format)) and asked.sample_rate not in rates:
        raise invalid(
            f"{audio_format} cannot hold {asked.sample_rate} Hz; it can: {', '.join(map(str, rates))}",
            param="sample_rate",
        )
    voice, speaker = context.pool.resolve(asked.voice_name)
    return SpeechTask(
        text=asked.input,
        voice=voice,
        speaker=speaker,
        audio_format=audio_format,
        speed=asked.speed,
        seed=asked.seed,
        sample_rate=asked.sample_rate,
        language=asked.language,
        key_name=key_name,
        arrived=time.monotonic(),
    )


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work`, and cancels it as soon as the client has hung up.

    Raises:
        ApiError: it has; nobody reads this answer.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_POLL))[0]:
            if await request.is_disconnected():
                raise ApiError(499, "the client is gone", code="client_gone")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _with_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        async for piece in rest:
            yield piece
    except ApiError as refusal:
        raise CutOff(refusal) from None
    finally:
        await rest.aclose()


async def _events(pieces: AsyncGenerator[bytes], task: SpeechTask, info: SpeechInfo) -> AsyncIterator[bytes]:
    """OpenAI's events: speech.audio.delta with base64, speech.audio.done; an error as an event of its own."""
    try:
        async for piece in pieces:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    except CutOff as cut:
        yield _event({"type": "error", **cut.refusal.body()})
        return
    finally:
        await pieces.aclose()
    used = {"input_tokens": len(task.text), "output_tokens": round(info.audio * 1000)}
    usage = {**used, "total_tokens": sum(used.values())}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(facts: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(facts, ensure_ascii=False)}\n\n".encode()


def _first_byte(request: Request, context: Context, task: SpeechTask, info: SpeechInfo) -> None:
    info.first = time.monotonic() - task.arrived
    context.metrics.first.labels(task.voice).observe(info.first)
    note(request, queued=round(info.queued, 3), first_byte=round(info.first, 3))
    if info.unread:
        note(request, unread=sum(info.unread.values()))


def _headers(info: SpeechInfo) -> dict[str, str]:
    found = {"x-sample-rate": str(info.sample_rate)}
    if info.unread:
        found["x-unread-characters"] = json.dumps(dict(list(info.unread.items())[:20]))
    return found


def _voice_info(name: str, found: Any) -> VoiceInfo:
    if found is None:
        return VoiceInfo(id=name, name=name, loaded=False)
    voice: amtts.Voice = found.voice
    return VoiceInfo(
        id=name,
        name=name,
        loaded=True,
        language=voice.language,
        sample_rate=voice.sample_rate,
        speakers=list(voice.speakers),
    )


def _check_model(name: str) -> None:
    if name not in MODELS:
        raise ApiError(
            404,
            f"model {name[:64]!r} does not exist; there are: {', '.join(MODELS)}",
            code="model_not_found",
            param="model",
        )


def _check_length(context: Context, text: str) -> None:
    if len(text) > (most := context.settings.max_characters):
        raise invalid(
            f"the text has {len(text)} characters; {most} are allowed",
            param="input",
            code="string_above_max_length",
        )
