"""Requests that mean no good: python benchmarks/hostile_server.py RUN --requests 2000

Wrong types and sizes, path tricks in names and in addresses, broken HTTP, slow, half-closed and reset sockets, floods
of websockets and of their messages. Ends with exit code 1 where a status 500 came, the log holds a traceback, or
something was not given back: files, sockets, places in the queue; or where the server speaks otherwise than before.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil

ROUTE = "/v1/audio/speech"
SOCKET = f"{ROUTE}/websocket"
ADDRESSES = (ROUTE, f"{ROUTE}/timestamps", "/v1/text/normalize", "/v1/models", "/v1/audio/voices", "/readyz")
GOOD = {"input": "ሰላም።", "response_format": "wav"}
VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 2**70, 1.5, 1e308, "", "ሰላም", "\x00", "x" * 300, "ሰ" * 5000, "😀" * 50, "\ud800"),
    *([], {}, [[]], {"id": 1}, {"id": "selam"}, {"id": {"id": "x"}}, ["ሰላም"] * 50, "NaN", "٣", "-0", "1e999"),
)
NAMES = (
    *(
        "input",
        "voice",
        "model",
        "speed",
        "seed",
        "response_format",
        "stream_format",
        "language",
        "sample_rate",
    ),
    *("instructions", "__class__", "path", "file", "voice.id", ""),
)
TRICKS = (
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\x",
        "%2e%2e%2fetc%2fpasswd",
        "selam/../x",
        "selam\x00",
        "~/x",
    ),
    *(
        "file:///etc/passwd",
        "selam+../../x",
        "selam:../x",
        "+",
        ":",
        "selam+",
        "x" * 5000,
        "${HOME}",
        "`id`",
        "\u202e",
    ),
)
LINES = (
    *(
        b"GET /../../etc/passwd HTTP/1.1",
        b"GET //etc/passwd HTTP/1.1",
        b"GET /%00 HTTP/1.1",
        b"GET \xff\xfe HTTP/1.1",
    ),
    *(
        b"GET http://evil.example/ HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET /",
    ),
    *(
        b"CONNECT evil.example:443 HTTP/1.1",
        b"BREW / HTTP/1.1",
        b"GET / HTTP/9.9",
        b"\x16\x03\x01\x02\x00\x01",
        b"",
    ),
    *(b"GET /" + b"a" * 30_000 + b" HTTP/1.1", b"POST /v1/audio/speech HTTP/1.1", b"TRACE / HTTP/1.1"),
)
HEADERS = (
    *(
        b"host: localhost",
        b"host: evil.example",
        b"host:",
        b"host: localhost\r\nhost: x",
        b"content-length: -1",
    ),
    *(
        b"content-length: 9999999999999999999999",
        b"content-length: 1\r\ncontent-length: 2",
        b"x: " + b"y" * 20_000,
    ),
    *(
        b"transfer-encoding: chunked\r\ncontent-length: 4",
        b"transfer-encoding: x",
        b"expect: 100-continue",
        b": x",
    ),
    *(
        b"x\x00: y",
        b"upgrade: websocket\r\nconnection: upgrade",
        b"upgrade: h2c\r\nconnection: upgrade",
        b" folded",
    ),
    *(
        b"authorization: Bearer \xff",
        b"authorization: " + b"A" * 9000,
        b"content-type: application/json;charset=x",
    ),
)
BODIES = (
    b"",
    b"{",
    b"0\r\n\r\n",
    b"zzz\r\n",
    b"ffffffffffffffff\r\nx",
    b"[" * 40_000,
    b"\x00" * 5000,
    b"5\r\nabc",
)


@dataclass
class Attack:
    """Where it goes to, and what came back."""

    host: str
    port: int
    replies: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, kind: str, status: int | None) -> None:
        """Counts a reply; None where there was none, as it may be."""
        self.replies[f"{kind} {status or 'closed'}"] += 1
        if status is not None and status >= 500 and status not in (503, 504):
            self.wrong.append(f"{kind}: {status}")

    def open(self) -> socket.socket:
        """A connection."""
        return socket.create_connection((self.host, self.port), timeout=20)

    def raw(self, kind: str, data: bytes, *, half: bool = False) -> None:
        """Sends bytes as they are, and reads what comes within a moment."""
        with contextlib.suppress(OSError), self.open() as client:
            client.sendall(data)
            if half:
                client.shutdown(socket.SHUT_WR)
            client.settimeout(1)
            received = b""
            with contextlib.suppress(OSError):
                while part := client.recv(65536):
                    received += part
            found = re.match(rb"HTTP/1\.[01] (\d{3})", received)
            self.note(kind, int(found[1]) if found else None)


def types(attack: Attack, draw: random.Random) -> None:
    """Fields of any type."""
    body = {name: draw.choice(VALUES) for name in draw.sample(NAMES, draw.randint(0, 6))}
    if draw.random() < 0.5:
        body = GOOD | body
    _post(attack, "types", draw.choice(ADDRESSES[:3]), json.dumps(body).encode("utf-8", "surrogatepass"))


def sizes(attack: Attack, draw: random.Random) -> None:
    """Large, deep and empty bodies."""
    body = draw.choice(
        (
            *(
                b" " * 70_000,
                b'{"input": "' + b"a" * 66_000 + b'"}',
                b'{"input":' * 6000,
                b"[" * 60_000,
                b"9" * 60_000,
            ),
            *(
                b'{"a":1,' * 5000,
                b'{"seed": ' + b"9" * 9000 + b', "input": "x"}',
                b"\xff" * 1000,
                b"",
                b"null",
            ),
            json.dumps({"input": "ሰላም ለዓለም። " * 300, "response_format": "pcm"}).encode(),
        )
    )
    _post(attack, "sizes", draw.choice(ADDRESSES[:3]), body)


def tricks(attack: Attack, draw: random.Random) -> None:
    """Path tricks in names of voices, models and languages, and in the address."""
    trick = draw.choice(TRICKS)
    name = draw.choice(("voice", "model", "language", "response_format", "address"))
    if name == "address":
        line = f"GET /v1/models/{trick} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        attack.raw("tricks", line.encode("utf-8"))
        return
    _post(attack, "tricks", ROUTE, json.dumps(GOOD | {name: trick}).encode())


def broken(attack: Attack, draw: random.Random) -> None:
    """Broken HTTP."""
    headers = [draw.choice(HEADERS) for _ in range(draw.randint(0, 4))]
    data = b"\r\n".join([draw.choice(LINES), *headers]) + b"\r\n\r\n" + draw.choice(BODIES)
    attack.raw("broken", data, half=draw.random() < 0.5)


def sockets(attack: Attack, draw: random.Random) -> None:
    """Clients that send slowly, close one side, or reset the connection in the midst."""
    body = json.dumps(GOOD | {"input": "ሰላም ለዓለም። " * 20, "stream_format": "audio"}).encode()
    head = (
        b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    data = head % (ROUTE.encode(), len(body)) + body
    how = draw.choice(("slow", "half", "half early", "reset", "reset early", "silent"))
    with contextlib.suppress(OSError), attack.open() as client:
        if how == "slow":
            for at in range(0, 60):
                client.sendall(data[at : at + 1])
                time.sleep(0.01)
        elif how.endswith("early"):
            client.sendall(data[: draw.randrange(len(data))])
        elif how != "silent":
            client.sendall(data)
        if how.startswith("half"):
            client.shutdown(socket.SHUT_WR)
            client.settimeout(2)
            client.recv(1000)
        elif how.startswith("reset"):
            time.sleep(draw.uniform(0, 0.3))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    attack.note(f"sockets {how}", None)


def floods(attack: Attack, draw: random.Random) -> None:
    """A websocket that sends too much, or what is no message."""
    key = base64.b64encode(bytes(draw.randrange(256) for _ in range(16)))
    hello = b"GET %s HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    hello += b"sec-websocket-version: 13\r\nsec-websocket-key: %s\r\n\r\n"
    lines = [json.dumps(draw.choice((GOOD, {}, {"input": 1}, {"input": "ሰላም።", "x": 1}))) for _ in range(30)]
    data = draw.choice(
        (
            b"".join(_frame(1, line.encode()) for line in lines),
            b"".join(_frame(9, b"ping") for _ in range(200)),
            b"".join(_frame(2, bytes(500)) for _ in range(30)),
            *(
                _frame(1, b"\xff\xfe"),
                _frame(1, b"x" * 100_000),
                _frame(15, b"x"),
                b"\x81\x05hello",
                _frame(8, b"\x00"),
            ),
            *(b"\x81\xff" + b"\xff" * 8 + b"abcd", b"\x01\x80abcd" * 100, bytes(300)),
        )
    )
    attack.raw("floods", hello % (SOCKET.encode(), key) + data, half=draw.random() < 0.3)


KINDS: dict[Callable[[Attack, random.Random], None], int] = {
    types: 30,
    sizes: 10,
    tricks: 20,
    broken: 20,
    sockets: 10,
    floods: 10,
}


def attack_with(url: str, requests: int, *, threads: int = 8, seed: int = 0) -> Attack:
    """Sends so many; eight at a time."""
    where = urlsplit(url)
    attack = Attack(str(where.hostname), int(where.port or 80))

    def one(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        draw.choices(list(KINDS), list(KINDS.values()))[0](attack, draw)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(requests)))
    return attack


def _post(attack: Attack, kind: str, address: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    with contextlib.suppress(httpx.TransportError):
        reply = httpx.post(
            f"http://{attack.host}:{attack.port}{address}", content=body, headers=headers, timeout=120
        )
        attack.note(kind, reply.status_code)


def _frame(kind: int, data: bytes) -> bytes:
    """A masked frame of a websocket."""
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + struct.pack(">H", size) if size < 1 << 16 else b"\xff" + struct.pack(">Q", size)
    return bytes([0x80 | kind]) + length + bytes(4) + data


def _held(process: psutil.Process) -> tuple[int, int]:
    """Open files and threads of a process."""
    return process.num_fds(), process.num_threads()


def main() -> int:
    """Prints what came back; 1 where something was not as it should be."""
    from server_load import server_of

    parser = argparse.ArgumentParser()
    parser.add_argument("voice")
    parser.add_argument("--requests", type=int, default=2000)
    asked = parser.parse_args()
    with server_of(asked.voice, "--per-key", "128") as server:
        process = psutil.Process(server.process.pid)

        def speech() -> bytes:
            return httpx.post(server.url + ROUTE, json=GOOD, timeout=120).content

        before = speech()
        attack_with(server.url, 200, seed=1)  # threads, connections and caches are there from now on
        time.sleep(12)
        held, memory = _held(process), server.memory()
        attack = attack_with(server.url, asked.requests)
        time.sleep(25)  # connections that are kept alive or never said a word are let go
        after = _held(process)
        page = httpx.get(f"{server.url}/metrics", timeout=60).text
        idle = re.findall(r"^(amtts_(?:active|queue_length|websockets)\S*) (\S+)$", page, re.MULTILINE)
        same = speech() == before
        log = server.log.read_text()
        now = server.memory()
    print(f"{asked.requests} requests, eight at a time; load of the machine {os.getloadavg()[0]:.1f}")
    print("; ".join(f"{kind}: {count}" for kind, count in sorted(attack.replies.items())))
    print(f"files and threads: {held} before, {after} after; memory {memory:.0f} and {now:.0f} MB")
    print(f"{'; '.join(' '.join(pair) for pair in idle)}; speaks as before: {same}")
    print(f"tracebacks in the log: {log.count('Traceback')}; not expected: {Counter(attack.wrong)}")
    kept = after[0] > held[0] + 2 or any(float(value) for _, value in idle)
    return int(bool(attack.wrong) or not same or kept or "Traceback" in log)


if __name__ == "__main__":
    sys.exit(main())
