"""What cannot be answered is refused in OpenAI's format, never with 500."""

from __future__ import annotations

import json
import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from served import Server, served

ROUTE = "/v1/audio/speech"
GOOD = {"input": "ሰላም።", "response_format": "pcm"}
FAULTS: list[tuple[dict[str, Any], int, str | None]] = [
    ({"input": ""}, 400, "input"),
    ({"input": "   "}, 400, "input"),
    ({"input": "!?。"}, 400, "input"),
    ({"input": 7}, 400, "input"),
    ({"input": None}, 400, "input"),
    ({"input": ["ሰላም"]}, 400, "input"),
    ({"input": "ሰ" * 4097}, 400, "input"),
    ({"input": "ሰላም\ud800"}, 400, "input"),
    ({"voice": "nobody"}, 404, "voice"),
    ({"voice": "../../etc/passwd"}, 404, "voice"),
    ({"voice": "/etc/passwd"}, 404, "voice"),
    ({"voice": "selam+../x"}, 404, "voice"),
    ({"voice": "selam:nobody"}, 400, "input"),
    ({"voice": 3}, 400, None),
    ({"voice": "x" * 1000}, 400, None),
    ({"model": "none"}, 404, "model"),
    ({"speed": 0.1}, 400, "speed"),
    ({"speed": 5}, 400, "speed"),
    ({"speed": float("nan")}, 400, "speed"),
    ({"speed": float("inf")}, 400, "speed"),
    ({"seed": -1}, 400, "seed"),
    ({"seed": 2**64}, 400, "seed"),
    ({"seed": True}, 400, "seed"),
    ({"response_format": "exe"}, 400, "response_format"),
    ({"stream_format": "x"}, 400, "stream_format"),
    ({"language": "ti"}, 400, "language"),
    ({"sample_rate": 7}, 400, "sample_rate"),
    ({"sample_rate": 11025, "response_format": "opus"}, 400, "sample_rate"),
    ({"strange": 1}, 400, "strange"),
]


@pytest.mark.parametrize(("change", "status", "param"), FAULTS, ids=lambda v: str(v)[:40])
def test_a_fault_of_the_body(server: Server, change: dict[str, Any], status: int, param: str | None) -> None:
    with server.client() as client:
        body = json.dumps(GOOD | change).encode("utf-8", "surrogatepass")
        reply = client.post(ROUTE, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == status, reply.content[:200]
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    if param is not None:
        assert error["param"] == param
    assert "passwd" not in error["message"] or status == 404


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 60_000, b'{"input":' * 6000, b"1e999"],
    ids=lambda b: repr(b[:10]),
)
def test_what_is_no_json_object(server: Server, body: bytes) -> None:
    with server.client() as client:
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            reply = client.post(ROUTE, content=body, headers={"content-type": kind})
            assert reply.status_code == 400, reply.text
            assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_web_page_cannot_post_without_being_asked(server: Server) -> None:
    """A form of a page sends text/plain without a preflight request."""
    with server.client() as client:
        reply = client.post(ROUTE, content=json.dumps(GOOD), headers={"content-type": "text/plain"})
    assert reply.status_code == 400


def test_a_name_of_another_machine_is_refused(server: Server) -> None:
    with server.client() as client:
        reply = client.get("/v1/models", headers={"host": "evil.example"})
        assert reply.status_code == 421
        assert client.options(ROUTE, headers={"origin": "https://evil.example"}).status_code == 405


def test_a_large_body_is_refused(server: Server) -> None:
    with server.client() as client:
        assert client.post(ROUTE, content=b" " * 70_000).status_code == 413
        parts = (b" " * 1000 for _ in range(100))
        assert client.post(ROUTE, content=parts).status_code == 413


def test_paths_and_methods_that_are_not_there(server: Server) -> None:
    with server.client() as client:
        for path in ("/", "/v1", "/v1/audio/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs"):
            assert client.get(path).status_code == 404
        reply = client.delete(ROUTE)
        assert reply.status_code == 405
        assert reply.json()["error"]["code"] == "method_not_allowed"


def test_many_random_bodies(server: Server) -> None:
    draw = random.Random(5)
    values = [
        None,
        True,
        -1,
        0,
        2**70,
        1.5,
        "",
        "ሰላም",
        "\x00",
        "x" * 300,
        [],
        {},
        [[]],
        {"id": 1},
        {"id": "selam"},
    ]
    names = ["input", "voice", "model", "speed", "seed", "response_format", "stream_format", "language"]
    with server.client() as client:
        for _ in range(300):
            body = {name: draw.choice(values) for name in draw.sample(names, draw.randint(0, len(names)))}
            reply = client.post(draw.choice([ROUTE, "/v1/text/normalize", f"{ROUTE}/timestamps"]), json=body)
            assert reply.status_code in (200, 400, 404), (body, reply.text)
            if reply.status_code != 200:
                assert reply.json()["error"]["message"]


def test_slow_and_broken_senders_are_let_go(run: Path) -> None:
    with served(run, body_timeout=0.5) as server:

        def sent(data: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(data)
                received = b""
                while part := client.recv(4096):
                    received += part
                return received

        began = time.monotonic()
        assert sent(b"") == b""
        assert sent(b"POST /v1/audio/speech HTT") == b""
        head = b"POST /v1/audio/speech HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        assert b" 408 " in sent(head + b"content-length: 100\r\n\r\n{")
        assert b" 400 " in sent(b"\x16\x03\x01\x02\x00 garbage \r\n\r\n")
        assert b" 400 " in sent(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 40_000)
        assert time.monotonic() - began < 8
        with server.client() as client:
            assert client.post(ROUTE, json=GOOD).status_code == 200
