"""A server of its own process, and clients for it; see load_server.py and soak_server.py."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import httpx
import psutil
import soundfile

ROUTE = "/v1/audio/speech"
TEXTS = (
    "ሰላም ለዓለም።",
    "ዛሬ ጠዋት ወደ ገበያ ሄጄ ትኩስ አትክልትና ፍራፍሬ ገዛሁ።",
    "ልጆቹ ከትምህርት ቤት ሲመለሱ ዝናብ አገኛቸው።",
    "አዲሱ መንገድ በሚቀጥለው ወር ለትራፊክ ክፍት ይሆናል። እናቴ ጥሩ ቡና አፍልታ ጎረቤቶቻችንን ጠራች።",
)


@dataclass
class Running:
    """A server process."""

    url: str
    process: subprocess.Popen[bytes]
    ready_after: float
    log: Path

    def memory(self) -> float:
        """Resident memory, MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def processor_time(self) -> float:
        """Seconds of processor time, its threads together."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def server_of(voice: str, *options: str) -> Iterator[Running]:
    """`amtts serve --voice selam=VOICE` on a free port, ready."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        began = time.monotonic()
        command = [sys.executable, "-m", "amtts_cli", "serve", "--voice", f"selam={voice}", "--port", "0"]
        with log.open("wb") as file:
            process = subprocess.Popen([*command, *options], stderr=file)
        try:
            while "ready:" not in log.read_text():
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.05)
            url = re.search(r"listening on (\S+)", log.read_text())
            assert url is not None
            yield Running(url[1], process, time.monotonic() - began, log)
        finally:
            process.terminate()
            process.wait(40)


def expected_files(voice: str, texts: Sequence[str] = TEXTS) -> list[bytes]:
    """What the command line says for each text."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "texts").write_text("\n".join(texts), encoding="utf-8")
        command = [sys.executable, "-m", "amtts_cli", "synthesize", "--checkpoint", voice]
        subprocess.run(
            [*command, "--file", f"{folder}/texts", "--out", f"{folder}/out"], check=True, capture_output=True
        )
        return [path.read_bytes() for path in sorted(Path(folder, "out").glob("*.wav"))]


@dataclass
class Figures:
    """What clients measured."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    audio: float = 0.0
    failed: int = 0

    def share(self, percent: int) -> float:
        """Seconds within which so many percent of the first bytes came."""
        return quantiles(self.first, n=100)[percent - 1] if len(self.first) > 1 else 0.0


async def streamed(client: httpx.AsyncClient, text: str, figures: Figures) -> None:
    """Speaks a text, and measures first and last byte."""
    body = {"input": text, "response_format": "pcm", "sample_rate": 22050, "stream_format": "audio"}
    began, first, size = time.monotonic(), 0.0, 0
    async with client.stream("POST", ROUTE, json=body) as reply:
        if reply.status_code != 200:
            figures.failed += 1
            await reply.aread()
            return
        async for chunk in reply.aiter_raw():
            first = first or time.monotonic() - began
            size += len(chunk)
    figures.first.append(first)
    figures.whole.append(time.monotonic() - began)
    figures.audio += size / 2 / 22050


async def load(url: str, *, clients: int, requests: int) -> tuple[Figures, float]:
    """`requests` requests by so many clients at a time; returns figures and seconds."""
    figures, waiting = Figures(), iter(range(requests))

    async def work() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=180) as client:
            for number in waiting:
                await streamed(client, TEXTS[number % len(TEXTS)], figures)

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(clients)))
    return figures, time.monotonic() - began


def samples_of(file: bytes) -> bytes:
    """The 16-bit samples of a WAV file."""
    import io

    return bytes(soundfile.read(io.BytesIO(file), dtype="int16")[0].tobytes())
