"""`amtts serve --replicas`: the same application in several processes of Ray Serve."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from command_line import call
from served import until

from amtts_cli.server.settings import parse_replicas
from amtts_core.errors import AmttsError

ROUTE = "/v1/audio/speech"
BODY = {"input": "ሰላም ለዓለም። " * 4, "response_format": "wav"}


@pytest.mark.parametrize(("given", "found"), [("2", (2, 2)), ("1-4", (1, 4))])
def test_numbers_of_replicas(given: str, found: tuple[int, int]) -> None:
    assert parse_replicas(given) == found


@pytest.mark.parametrize("given", ["0", "-1", "4-1", "x", "1-", "1-2-3", "٣"])
def test_what_is_no_number_of_replicas(given: str) -> None:
    with pytest.raises(AmttsError, match="--replicas"):
        parse_replicas(given)


def test_it_does_not_go_with_wyoming(run: Path) -> None:
    done = call("serve", "--voice", f"selam={run}", "--replicas", "2", "--wyoming", "10200")
    done.refused("--wyoming", "--replicas")


def test_without_ray_it_names_the_extra(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = call("serve", "--voice", f"selam={run}", "--replicas", "2")
    done.refused("--replicas", "pip install 'amtts[ray]'")


def test_a_config_file_needs_keys(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from amtts_cli.server.replicas import build

    monkeypatch.delenv("AMTTS_API_KEY", raising=False)
    with pytest.raises(AmttsError, match="there is no key"):
        build({"voices": {"selam": str(run)}})


@pytest.mark.slow
def test_two_replicas_say_the_same_and_end_in_order(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.serve", reason="the extra amtts[ray] is not installed")
    log, keys = tmp_path / "log", tmp_path / "keys"
    keys.write_text("one:" + "1" * 32)
    command = [sys.executable, "-m", "amtts_cli", "serve", "--voice", f"selam={run}", "--port", "0"]
    options = ["--replicas", "2", "--keys", str(keys), "--drain", "5"]
    environment = {**os.environ, "RAY_ADDRESS": "", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        server = subprocess.Popen([*command, *options], stderr=file, stdout=file, env=environment)
    try:
        until(lambda: "ready: 2 replica" in log.read_text() or server.poll() is not None, seconds=180)
        url = re.search(r"listening on (\S+)", log.read_text())
        assert url is not None, log.read_text()
        with httpx.Client(
            base_url=url[1], timeout=60, headers={"authorization": "Bearer " + "1" * 32}
        ) as client:
            assert httpx.post(url[1] + ROUTE, json=BODY).status_code == 401
            with ThreadPoolExecutor(8) as threads:
                replies = list(threads.map(lambda _: client.post(ROUTE, json=BODY), range(24)))
            assert {reply.status_code for reply in replies} == {200}
            assert len({reply.content for reply in replies}) == 1
            assert client.post(ROUTE, json=BODY | {"voice": "../x"}).status_code == 404
            pages = {_spoken(client.get("/metrics").text) for _ in range(40)}
            assert len(pages) == 2, "two processes answer"
            assert all(count > 0 for _, count in pages), "both have spoken"
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, log.read_text()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url[1] + "/healthz")
        assert "Traceback" not in log.read_text()
    finally:
        server.terminate()
        server.wait(60)


def _spoken(page: str) -> tuple[str, float]:
    """Which process a page of figures is of, and how many passes its network made."""
    began = re.search(r"^process_start_time_seconds (\S+)$", page, re.MULTILINE)
    passes = re.search(r"^amtts_pass_sentences_count\S* (\S+)$", page, re.MULTILINE)
    assert began is not None
    return began[1], float(passes[1]) if passes else 0.0
