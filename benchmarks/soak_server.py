"""Minutes of mixed load on `amtts serve`: python benchmarks/soak_server.py RUN --minutes 10 --clients 64

Whole files and streams (each compared with what `amtts synthesize` says), texts of random length that were never heard
before (some of them compared at the end), every coding, events, texts that cannot be
spoken, broken bodies, names with path tricks, clients that hang up. With `--pause 2` every client waits 0 to 4 seconds
before a request, for a long and quiet run. Prints a row now and then. Ends with exit code 1 where an answer was not
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
from hashlib import sha256

import httpx
from server_load import ROUTE, TEXTS, Running, expected_files, samples_of, server_of

BROKEN = (b"", b"{", b"[" * 5000, b'{"input": "\\ud800"}', b'{"input": 1}', b"\xff\xfe")
TRICKS = ("../../etc/passwd", "/etc/passwd", "selam/../x", "a\x00b", "selam:x", "x" * 5000)
WORDS = " ".join(TEXTS).split()
COMPARED = 60
"""New texts that are compared."""
CODINGS = ("mp3", "opus", "aac", "flac")


@dataclass
class Soak:
    """What was met."""

    files: list[bytes]
    samples: list[bytes]
    replies: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    equal: int = 0
    new: dict[str, bytes] = field(default_factory=dict)
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
        ["whole", "stream", "new", "coding", "sse", "refused", "broken", "trick", "hang up", "list"],
        [20, 20, 10, 8, 5, 8, 8, 6, 10, 5],
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
    elif kind == "new":
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 30)))
        reply = await client.post(ROUTE, json=body | {"input": text})
        if soak.expect(kind, reply, 200):
            soak.new[text] = sha256(reply.content).digest()
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


async def run(server: Running, soak: Soak, *, clients: int, minutes: float, pause: float, rows: int) -> None:
    """Lets the clients act, writes down memory every second, and prints so many rows."""
    began = time.monotonic()
    end = began + 60 * minutes

    async def work(seed: int) -> None:
        draw = random.Random(seed)
        async with httpx.AsyncClient(base_url=server.url, timeout=180) as client:
            while time.monotonic() < end:
                await asyncio.sleep(draw.uniform(0, 2 * pause))
                try:
                    await act(client, soak, draw)
                except httpx.TransportError as error:
                    soak.wrong.append(f"{type(error).__name__}: {error}")

    async def watch() -> None:
        every = max(1.0, minutes / rows)
        print(
            "| minutes | requests | speeches equal | not expected | CPU s | memory MB |\n|---|---|---|---|---|---|"
        )
        shown = 0.0
        while time.monotonic() < end and server.process.poll() is None:
            await asyncio.sleep(1)
            passed = time.monotonic() - began
            soak.memory.append((passed, server.memory()))
            if passed >= 60 * (shown + every):
                shown += every
                print(
                    f"| {shown:g} | {sum(soak.replies.values())} | {soak.equal} | {len(soak.wrong)} | "
                    f"{server.processor_time():.0f} | {minute(soak, round(shown) - 1):.0f} |",
                    flush=True,
                )

    await asyncio.gather(watch(), *(work(seed) for seed in range(clients)))


def minute(soak: Soak, number: int) -> float:
    """Mean memory within a minute, MB."""
    values = [mb for at, mb in soak.memory if number * 60 <= at < number * 60 + 60]
    return sum(values) / max(1, len(values))


def compare_new(soak: Soak, voice: str) -> None:
    """Compares new texts of the whole time with what the command line says."""
    texts = list(soak.new)[:: max(1, len(soak.new) // COMPARED)]
    for text, file in zip(texts, expected_files(voice, texts), strict=True):
        soak.same("new", soak.new[text], sha256(file).digest())


def main() -> int:
    """Prints what was met; 1 where something was not as expected."""
    parser = argparse.ArgumentParser()
    parser.add_argument("voice")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--pause", type=float, default=0, help="mean seconds that a client waits")
    parser.add_argument("--rows", type=int, default=12, help="rows of the table")
    asked = parser.parse_args()
    files = expected_files(asked.voice)
    soak = Soak(files, [samples_of(file) for file in files])
    with server_of(asked.voice, "--per-key", "128") as server:
        asyncio.run(
            run(
                server,
                soak,
                clients=asked.clients,
                minutes=asked.minutes,
                pause=asked.pause,
                rows=asked.rows,
            )
        )
        alive = server.process.poll() is None
        page = httpx.get(f"{server.url}/metrics", timeout=60).text if alive else ""
        tracebacks = server.log.read_text().count("Traceback")
    if soak.new:
        compare_new(soak, asked.voice)
    idle = [line for line in page.splitlines() if line.startswith(("amtts_active", "amtts_queue_length"))]
    second, last = minute(soak, 1), minute(soak, max(1, int(asked.minutes) - 1))
    print(f"{sum(soak.replies.values())} requests by {asked.clients} clients in {asked.minutes:g} minutes")
    print("; ".join(f"{kind}: {count}" for kind, count in sorted(soak.replies.items())))
    print(f"{soak.equal} speeches equal to the command line's, {len(soak.wrong)} answers not expected")
    print(f"alive: {alive}; tracebacks: {tracebacks}; at the end: {'; '.join(idle)}")
    print(f"memory of the last minute / of the second: {last / max(second, 1):.3f}")
    for line, count in Counter(soak.wrong).most_common(10):
        print(f"not expected ({count}): {line}")
    return int(bool(soak.wrong) or not alive or tracebacks > 0 or last > 1.05 * second)


if __name__ == "__main__":
    sys.exit(main())
