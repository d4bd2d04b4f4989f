"""OpenAI's routes: what they answer is what the command line says."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from command_line import call
from served import Server

TEXT = "ሰላም ለዓለም። እናት አገር። ነገ ነው።"
ROUTE = "/v1/audio/speech"


@pytest.fixture(scope="module")
def spoken(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "a.wav"
    assert call("synthesize", "--checkpoint", run, "--out", path, "--seed", 3, TEXT).code == 0
    return path


def ask(server: Server, **body: object) -> bytes:
    with server.client() as client:
        reply = client.post(ROUTE, json={"input": TEXT, "seed": 3, **body})
    assert reply.status_code == 200, reply.text
    return reply.content


def test_a_whole_wav_is_the_file_of_the_command_line(server: Server, spoken: Path) -> None:
    assert ask(server, response_format="wav") == spoken.read_bytes()


def test_a_streamed_wav_is_what_the_command_line_streams(server: Server, run: Path, spoken: Path) -> None:
    streamed = ask(server, response_format="wav", stream_format="audio")
    whole, rate = soundfile.read(spoken, dtype="int16")
    got, got_rate = soundfile.read(io.BytesIO(streamed), dtype="int16")
    assert (got_rate, rate) == (22050, 22050)
    assert np.array_equal(got, whole)


def test_pcm_has_the_rate_that_clients_expect_or_the_one_asked_for(server: Server, spoken: Path) -> None:
    whole, _ = soundfile.read(spoken, dtype="int16")
    assert np.array_equal(
        np.frombuffer(ask(server, response_format="pcm", sample_rate=22050), np.int16), whole
    )
    usual = np.frombuffer(ask(server, response_format="pcm"), np.int16)
    assert len(usual) == pytest.approx(len(whole) * 24000 / 22050, abs=2)


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
@pytest.mark.parametrize("stream", ["audio", None])
def test_every_coding_holds_the_whole_speech(
    server: Server, spoken: Path, form: str, stream: str | None
) -> None:
    data = ask(server, response_format=form, stream_format=stream)
    with av.open(io.BytesIO(data)) as file:
        frames = list(file.decode(audio=0))
    seconds = sum(frame.samples / frame.sample_rate for frame in frames)
    assert seconds == pytest.approx(soundfile.info(spoken).duration, abs=0.15)
    loud = max(float(np.abs(frame.to_ndarray().astype(float)).max()) for frame in frames)
    assert loud > 0.01


def test_events_hold_the_same_sound(server: Server) -> None:
    with server.client() as client:
        reply = client.post(ROUTE, json={"input": TEXT, "response_format": "pcm", "stream_format": "sse"})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["input_tokens"] == len(TEXT)
    sound = b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta")
    assert sound == ask(server, response_format="pcm", seed=0)


def test_speed_changes_the_length(server: Server) -> None:
    slow, fast = (len(ask(server, response_format="wav", speed=speed)) for speed in (0.5, 2))
    assert slow > 2.5 * fast


def test_characters_that_are_not_spoken_are_told(server: Server) -> None:
    with server.client() as client:
        reply = client.post(ROUTE, json={"input": "ሰላም ぬ።", "response_format": "wav"})
    assert json.loads(reply.headers.get("x-unread-characters", "{}")) in ({"ぬ": 1}, {})


def test_words_have_times(server: Server) -> None:
    with server.client() as client:
        reply = client.post("/v1/audio/speech/timestamps", json={"input": "ሰላም ለዓለም።"})
    found = reply.json()
    assert reply.status_code == 200, found
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(found["audio"])))
    assert rate == found["sample_rate"] == 22050
    assert len(wave) / rate == pytest.approx(found["duration"], abs=0.001)
    assert found["text"] == "ሰላም ለአለም።"
    times = [time for word in found["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert {word["word"].strip("።") for word in found["words"]} <= {"ሰላም", "ለአለም"}


def test_text_is_normalized(server: Server) -> None:
    with server.client() as client:
        assert client.post("/v1/text/normalize", json={"input": "27 ብር"}).json()["text"] == "ሀያ ሰባት ብር"
        refused = client.post("/v1/text/normalize", json={"input": "27", "language": "xx"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "language"


def test_voices_and_models_are_listed(server: Server) -> None:
    with server.client() as client:
        (voice,) = client.get("/v1/audio/voices").json()["voices"]
        assert voice | {"speakers": []} == {
            "id": "selam",
            "name": "selam",
            "loaded": True,
            "language": "am",
            "sample_rate": 22050,
            "speakers": [],
        }
        models = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert {"amtts", "tts-1"} <= set(models)
        assert client.get("/v1/models/amtts").json()["object"] == "model"
        assert client.get("/v1/models/none").status_code == 404


def test_it_is_alive_and_ready_and_tells_figures(server: Server) -> None:
    ask(server)
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}
        page = client.get("/metrics").text
    for figure in (
        'amtts_first_byte_seconds_count{voice="selam"}',
        'amtts_queue_length{voice="selam"} 0.0',
        'amtts_real_time_factor_count{voice="selam"}',
        "process_resident_memory_bytes",
        'amtts_requests_total{method="POST",route="/v1/audio/speech",status="200"}',
    ):
        assert figure in page


def test_the_document_has_examples_and_the_key(server: Server) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    fields = document["components"]["schemas"]["SpeechRequest"]["properties"]
    assert fields["input"]["examples"]
    operation = document["paths"][ROUTE]["post"]
    assert {"200", "400", "401", "429", "504"} <= set(operation["responses"])
    assert "422" not in operation["responses"]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
