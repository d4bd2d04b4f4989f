"""Minutes of mixed load on `amtts serve`: python benchmarks/soak_server.py RUN --minutes 10 --clients 64

Whole files and streams (each compared with what `amtts synthesize` says), every coding, events, texts that cannot be
spoken, broken bodies, names with path tricks, clients that hang up. Ends with exit code 1 where an answer was not
expected, speech differed, or memory grew: the last minute may hold 5 % more than the second.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
from server_load import ROUTE, TEXTS, Running, expected_files, samples_of, server_of

BROKEN = (b"", b"{", b"[" * 5000, b'{"input": "\\ud800"}', b'{"input": 1}', b"\xff\xfe")
TRICKS = ("../../etc/passwd", "/etc/passwd", "selam/../x", "a\x00b", "selam:x", "x" * 5000)
CODINGS = ("mp3", "opus", "aac", "flac")


@dataclass
class Soak:
    """What was met."""

    files: list[bytes]
    samples: list[bytes]
    replies: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    equal: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)

    def expect(self, kind: str, reply: httpx.Response, *allowed: int) -> bool:
        """Counts a reply; True where it is a speech."""
        self.replies[f"{kind} {reply.status_code}"] += 1
        if reply.status_code not in (*allowed, 429):
            self.wrong.append(f"{kind}: {reply.status_code} {reply.text[:100]}")
        return reply.status_code == 200

    def same(self, kind: str, got: bytes, wanted: bytes) -> None:
        """Compares speech."""
        if got == wanted:
            self.equal += 1
        else:
            self.wrong.append(f"{kind}: other speech, {len(got)} and {len(wanted)} bytes")


async def act(client: httpx.AsyncClient, soak: Soak, draw: random.Random) -> None:
    """One request of the mix."""
    kind = draw.choices(
        ["whole", "stream", "coding", "sse", "refused", "broken", "trick", "hang up", "list"],
        [30, 20, 8, 5, 8, 8, 6, 10, 5],
    )[0]
    number = draw.randrange(len(TEXTS))
    body: dict[str, object] = {"input": TEXTS[number], "response_format": "wav"}
    if kind == "whole":
        reply = await client.post(ROUTE, json=body)
        if soak.expect(kind, reply, 200):
            soak.same(kind, reply.content, soak.files[number])
    elif kind == "stream":
        number = draw.randrange(3)  # of one sentence: streams speak sentence by sentence
        streamed = {"response_format": "pcm", "sample_rate": 22050, "stream_format": "audio"}
        reply = await client.post(ROUTE, json={"input": TEXTS[number], **streamed})
        if soak.expect(kind, reply, 200):
            soak.same(kind, reply.content, soak.samples[number])
    elif kind == "coding":
        reply = await client.post(ROUTE, json=body | {"response_format": draw.choice(CODINGS)})
        soak.expect(kind, reply, 200)
    elif kind == "sse":
        reply = await client.post(ROUTE, json=body | {"stream_format": "sse"})
        if soak.expect(kind, reply, 200) and "speech.audio.done" not in reply.text:
            soak.wrong.append("sse: no end")
    elif kind == "refused":
        fault = draw.choice(
            [{"input": "?!"}, {"speed": 9}, {"model": "x"}, {"seed": -1}, {"input": "ሰ" * 5000}]
        )
        soak.expect(kind, await client.post(ROUTE, json=body | fault), 400, 404)
    elif kind == "broken":
        json = {"content-type": "application/json"}
        soak.expect(kind, await client.post(ROUTE, content=draw.choice(BROKEN), headers=json), 400)
    elif kind == "trick":
        soak.expect(kind, await client.post(ROUTE, json=body | {"voice": draw.choice(TRICKS)}), 400, 404)
    elif kind == "list":
        soak.expect(kind, await client.get("/v1/audio/voices"), 200)
    else:
        soak.replies[kind] += 1
        try:
            await client.post(ROUTE, json=body | {"input": " ".join(TEXTS)}, timeout=draw.uniform(0.01, 0.5))
        except httpx.TimeoutException:
            return


async def run(server: Running, soak: Soak, *, clients: int, seconds: float) -> None:
    """Lets the clients act, and writes down memory every second."""
    end = time.monotonic() + seconds

    async def work(seed: int) -> None:
        draw = random.Random(seed)
        async with httpx.AsyncClient(base_url=server.url, timeout=180) as client:
            while time.monotonic() < end:
                try:
                    await act(client, soak, draw)
                except httpx.TransportError as error:
                    soak.wrong.append(f"{type(error).__name__}: {error}")

    async def watch() -> None:
        began = time.monotonic()
        while time.monotonic() < end and server.process.poll() is None:
            soak.memory.append((time.monotonic() - began, server.memory()))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(work(seed) for seed in range(clients)))


def minute(soak: Soak, number: int) -> float:
    """Mean memory within a minute, MB."""
    values = [mb for at, mb in soak.memory if number * 60 <= at < number * 60 + 60]
    return sum(values) / max(1, len(values))


def main() -> int:
    """Prints what was met; 1 where something was not as expected."""
    parser = argparse.ArgumentParser()
    parser.add_argument("voice")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    asked = parser.parse_args()
    files = expected_files(asked.voice)
    soak = Soak(files, [samples_of(file) for file in files])
    with server_of(asked.voice, "--per-key", "128") as server:
        asyncio.run(run(server, soak, clients=asked.clients, seconds=60 * asked.minutes))
        alive = server.process.poll() is None
        page = httpx.get(f"{server.url}/metrics", timeout=60).text if alive else ""
        tracebacks = server.log.read_text().count("Traceback")
    idle = [line for line in page.splitlines() if line.startswith(("amtts_active", "amtts_queue_length"))]
    second, last = minute(soak, 1), minute(soak, max(1, int(asked.minutes) - 1))
    print(f"{sum(soak.replies.values())} requests by {asked.clients} clients in {asked.minutes:g} minutes")
    print("; ".join(f"{kind}: {count}" for kind, count in sorted(soak.replies.items())))
    print(f"{soak.equal} speeches equal to the command line's, {len(soak.wrong)} answers not expected")
    print(f"alive: {alive}; tracebacks: {tracebacks}; at the end: {'; '.join(idle)}")
    step = max(1, int(asked.minutes) // 10)
    print("MB by minute: " + " ".join(f"{minute(soak, m):.0f}" for m in range(0, int(asked.minutes), step)))
    print(f"memory of the last minute / of the second: {last / max(second, 1):.3f}")
    for line, count in Counter(soak.wrong).most_common(10):
        print(f"not expected ({count}): {line}")
    return int(bool(soak.wrong) or not alive or tracebacks > 0 or last > 1.05 * second)


if __name__ == "__main__":
    sys.exit(main())
