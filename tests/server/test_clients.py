"""Clients that exist speak to the server as they are: OpenAI's, a websocket, Home Assistant's package."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from served import Server, served, until

openai = pytest.importorskip("openai", reason="needs the package openai")
websockets = pytest.importorskip("websockets", reason="needs amtts[server]")
pytest.importorskip("wyoming", reason="needs amtts[server]")

TEXT = "ሰላም ለዓለም። እናት አገር።"
SECRET = "s" * 32


def client_of(server: Server, key: str = "none", **options: Any) -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, **options)


def test_the_openai_client_gets_a_file(server: Server, tmp_path: Path) -> None:
    reply = client_of(server).audio.speech.create(
        model="tts-1", voice="selam", input=TEXT, response_format="wav", speed=1.0
    )
    reply.write_to_file(tmp_path / "a.wav")
    assert soundfile.info(tmp_path / "a.wav").duration > 0.5


def test_the_openai_client_streams(server: Server) -> None:
    with client_of(server).audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="selam", input=TEXT, response_format="pcm"
    ) as reply:
        chunks = list(reply.iter_bytes(chunk_size=2400))
    assert len(chunks) > 1
    assert np.abs(np.frombuffer(b"".join(chunks), np.int16)).max() > 100


def test_the_openai_client_reads_events(server: Server) -> None:
    with client_of(server).audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="selam", input=TEXT, response_format="pcm", stream_format="sse"
    ) as reply:
        kinds = [json.loads(line[6:])["type"] for line in reply.iter_lines() if line]
    assert kinds[0] == "speech.audio.delta"
    assert kinds[-1] == "speech.audio.done"


def test_the_asynchronous_openai_client(server: Server) -> None:
    async def ask() -> bytes:
        client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none")
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="selam", input=TEXT, response_format="mp3"
        ) as reply:
            return b"".join([chunk async for chunk in reply.iter_bytes()])

    assert len(asyncio.run(ask())) > 1000


def test_the_openai_client_lists_models(server: Server) -> None:
    client = client_of(server)
    assert "amtts" in [model.id for model in client.models.list()]
    assert client.models.retrieve("amtts").owned_by == "amtts"


def test_the_openai_client_knows_the_errors(run: Path) -> None:
    with served(run, keys={"radio": SECRET}) as server:
        ask = {"model": "tts-1", "voice": "selam", "input": TEXT}
        with pytest.raises(openai.AuthenticationError) as denied:
            client_of(server, "wrong").audio.speech.create(**ask)
        assert denied.value.code == "invalid_api_key"
        client = client_of(server, SECRET)
        assert client.audio.speech.create(**ask).content
        with pytest.raises(openai.NotFoundError) as missing:
            client.audio.speech.create(**{**ask, "voice": "alloy"})
        assert "selam" in str(missing.value)
        with pytest.raises(openai.BadRequestError) as wrong:
            client.audio.speech.create(**{**ask, "speed": 9.0})
        assert wrong.value.param == "speed"


# ---- websocket ----


def socket_of(server: Server, **options: Any) -> Any:
    from websockets.sync.client import connect

    url = server.url.replace("http", "ws") + "/v1/audio/speech/websocket"
    return connect(url, proxy=None, **options)


def take(connection: Any) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """What comes for one line: the first message, sound, the last message."""
    first = json.loads(connection.recv(timeout=30))
    sound, last = b"", first
    while last["type"] not in ("speech.audio.done", "error"):
        message = connection.recv(timeout=30)
        if isinstance(message, bytes):
            sound += message
        else:
            last = json.loads(message)
    return first, sound, last


def test_a_websocket_speaks_line_after_line(server: Server) -> None:
    with socket_of(server) as connection:
        for line in ("ሰላም።", "ነገ ነው።"):
            connection.send(json.dumps({"input": line, "sample_rate": 22050}))
        for number in range(2):
            started, sound, done = take(connection)
            assert started | {"unread": {}} == {
                "type": "speech.audio.started",
                "line": number,
                "sample_rate": 22050,
                "unread": {},
            }
            assert done["line"] == number
            assert len(sound) / 2 / 22050 == pytest.approx(done["seconds"], abs=0.01)


def test_a_faulty_line_is_told_and_the_next_is_spoken(server: Server) -> None:
    with socket_of(server) as connection:
        for fault in (
            "{",
            "[]",
            json.dumps({"input": ""}),
            json.dumps({"input": "ሰላም", "voice": "x"}),
            b"\x00",
        ):
            connection.send(fault)
            _, sound, told = take(connection)
            assert told["type"] == "error", told
            assert told["error"]["message"]
            assert not sound
        connection.send(json.dumps({"input": "ሰላም።"}))
        assert take(connection)[2]["type"] == "speech.audio.done"


def test_websockets_are_counted_and_pages_of_others_refused(run: Path) -> None:
    from websockets.exceptions import InvalidStatus

    with served(run, sockets=2) as server:
        with pytest.raises(InvalidStatus) as refused:
            socket_of(server, origin="https://evil.example")
        assert refused.value.response.status_code == 403
        with socket_of(server), socket_of(server):
            with pytest.raises(InvalidStatus) as full:
                socket_of(server)
            assert full.value.response.status_code == 503
        until(lambda: server.context.sockets == 0)
        socket_of(server).close()


def test_a_websocket_that_closes_frees_its_place(run: Path) -> None:
    with served(run) as server:
        server.hold.open.clear()
        connection = socket_of(server)
        connection.send(json.dumps({"input": TEXT}))
        gate = server.context.pool.gate("selam")
        until(lambda: gate.active == 1)
        connection.close()
        server.hold.open.set()
        until(lambda: gate.active == 0 and server.context.sockets == 0)


# ---- Home Assistant ----


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_wyoming_by_its_own_client(run: Path) -> None:
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncTcpClient
    from wyoming.error import Error
    from wyoming.info import Describe, Info
    from wyoming.tts import (
        Synthesize,
        SynthesizeChunk,
        SynthesizeStart,
        SynthesizeStop,
        SynthesizeStopped,
        SynthesizeVoice,
    )

    port = free_port()

    async def talk(server: Server) -> None:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await client.read_event())
            assert [voice.name for voice in info.tts[0].voices] == ["selam"]
            assert info.tts[0].supports_synthesize_streaming

            async def sound() -> bytes:
                started = AudioStart.from_event(await client.read_event())
                assert (started.rate, started.width, started.channels) == (22050, 2, 1)
                data = b""
                while not AudioStop.is_type((event := await client.read_event()).type):
                    data += AudioChunk.from_event(event).audio
                return data

            await client.write_event(Synthesize(TEXT, voice=SynthesizeVoice("selam")).event())
            whole = await sound()
            with server.client() as http:
                body = {"input": TEXT, "response_format": "wav"}
                wave, _ = soundfile.read(
                    io.BytesIO(http.post("/v1/audio/speech", json=body).content), dtype="int16"
                )
            assert np.array_equal(np.frombuffer(whole, np.int16), wave)

            await client.write_event(SynthesizeStart().event())
            for part in ("ሰላም ለ", "ዓለም። እና", "ት አገር"):
                await client.write_event(SynthesizeChunk(part).event())
            await client.write_event(
                Synthesize("ሰላም ለዓለም። እናት አገር").event()
            )  # for servers that do not stream
            await client.write_event(SynthesizeStop().event())
            assert len(await sound()) > 1000
            assert SynthesizeStopped.is_type((await client.read_event()).type)

            await client.write_event(Synthesize("ሰላም", voice=SynthesizeVoice("nobody")).event())
            assert Error.from_event(await client.read_event()).code == "voice_not_found"
            await client.write_event(Synthesize("!").event())
            assert Error.is_type((await client.read_event()).type)
            await client.write_event(Synthesize("ሰላም።").event())
            assert len(await sound()) > 1000

    with served(run, wyoming=port) as server:
        asyncio.run(talk(server))
        for hostile in (
            b"{}\n",
            b"[]\n",
            b'{"type":"synthesize","data_length":99999999}\n',
            b"\xff" * 100_000,
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
                raw.sendall(hostile)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(4096):
                    pass
        asyncio.run(talk(server))
