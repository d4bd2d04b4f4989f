"""`amtts serve` as a process: what it refuses to start with, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from command_line import call
from served import until

ROUTE = "/v1/audio/speech"
LONG = {"input": "ሰላም ለዓለም። " * 60, "response_format": "wav", "stream_format": "audio"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "there is no voice to serve"),
        (("--voice", "a b=run"), "expected NAME=FOLDER"),
        (("--voice", "a=x", "--voice", "a=y"), "was given before"),
        (("--voice", "a=/nowhere"), "there is no such folder"),
        (("--voice", "a=.", "--host", "0.0.0.0"), "lets other machines in, and there is no key"),
        (("--voice", "a=.", "--host", "::"), "lets other machines in, and there is no key"),
        (("--voice", "a=.", "--keys", "/nowhere"), "--keys /nowhere"),
        (("--voice", "a=.", "--references", "/nowhere"), "--references /nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_it_does_not_start(
    arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AMTTS_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    done = call("serve", *arguments)
    assert done.code == 2, done.err
    assert told in done.err
    assert "Traceback" not in done.err


@contextmanager
def process(run: Path, *arguments: object, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server of its own, and its address."""
    command = [sys.executable, "-m", "amtts_cli", "serve", "--voice", f"selam={run}", "--port", "0"]
    with log.open("wb") as file:
        started = subprocess.Popen(
            [*command, *map(str, arguments)], stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    try:
        until(lambda: "ready:" in log.read_text() or started.poll() is not None)
        url = re.search(r"listening on (\S+)", log.read_text())
        assert url is not None, log.read_text()
        yield started, url[1]
    finally:
        started.kill()
        started.wait()


def test_sigterm_ends_it_when_what_is_spoken_is_spoken(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with process(run, log=log) as (server, url), ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(httpx.post, url + ROUTE, json=LONG, timeout=60) for _ in range(4)]
        until(lambda: 'active_requests{voice="selam"} 4.0' in httpx.get(url + "/metrics").text)
        server.send_signal(signal.SIGTERM)
        replies = [job.result() for job in jobs]
        assert {reply.status_code for reply in replies} == {200}
        assert len({reply.content for reply in replies}) == 1
        server.wait(timeout=20)
        with pytest.raises(httpx.ConnectError):
            httpx.get(url + "/healthz")
    assert "Traceback" not in log.read_text()


def test_what_is_not_done_in_time_is_cut_off_without_a_traceback(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = LONG | {"input": "ሰላም ለዓለም። " * 400}
    with process(run, "--drain", 1, log=log) as (server, url), ThreadPoolExecutor(3) as threads:

        def ask(stream: bool) -> int | None:
            asked = body if stream else {**body, "stream_format": None}
            try:
                return httpx.post(url + ROUTE, json=asked, timeout=60).status_code
            except httpx.RemoteProtocolError:
                return None  # cut off in the midst, which the client sees

        jobs = [threads.submit(ask, stream) for stream in (True, True, False)]
        until(lambda: 'active_requests{voice="selam"} 3.0' in httpx.get(url + "/metrics").text)
        server.send_signal(signal.SIGTERM)
        *streams, whole = [job.result() for job in jobs]
        assert set(streams) <= {None, 503}
        assert whole == 503
        server.wait(timeout=20)
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("when the time to end (--drain) was over") == 3


def test_sighup_reloads_keys_and_voices(run: Path, tmp_path: Path) -> None:
    log, keys = tmp_path / "log", tmp_path / "keys"
    keys.write_text("one:" + "1" * 32)
    with process(run, "--keys", keys, log=log) as (server, url):
        as_one, as_two = ({"authorization": f"Bearer {digit * 32}"} for digit in "12")
        assert httpx.get(url + "/v1/models", headers=as_one).status_code == 200
        assert httpx.get(url + "/v1/models", headers=as_two).status_code == 401
        keys.write_text("two:" + "2" * 32)
        server.send_signal(signal.SIGHUP)
        until(lambda: httpx.get(url + "/v1/models", headers=as_two).status_code == 200)
        assert httpx.get(url + "/v1/models", headers=as_one).status_code == 401
        until(lambda: "were reloaded" in log.read_text())


def test_texts_and_keys_are_not_logged_unless_asked(run: Path, tmp_path: Path) -> None:
    secret = "geheim" * 6
    body = {"input": "ሰላም ለዓለም።", "response_format": "wav"}
    for options, logged in (((), False), (("--log-texts",), True)):
        log, keys = tmp_path / f"log{logged}", tmp_path / "keys"
        keys.write_text(f"radio:{secret}")
        with process(run, "--keys", keys, *options, log=log) as (_, url):
            done = httpx.post(url + ROUTE, json=body, headers={"authorization": f"Bearer {secret}"})
            assert done.status_code == 200
            httpx.post(url + ROUTE, json=body, headers={"authorization": f"Bearer {secret}x"})
        assert ("ሰላም" in log.read_text()) == logged
        assert secret not in log.read_text()
        assert done.headers["x-request-id"] in log.read_text()
        assert '"key": "radio"' in log.read_text()


@pytest.mark.slow
def test_it_is_ready_soon_after_it_was_killed(run: Path, tmp_path: Path) -> None:
    with process(run, log=tmp_path / "a") as (server, _):
        server.kill()
    began = time.monotonic()
    with process(run, log=tmp_path / "b") as (_, url):
        assert httpx.get(url + "/readyz").status_code == 200
        assert time.monotonic() - began < 30  # under 5 s on an idle machine, see docs/server.md
