"""Turns, queues, deadlines, clients that leave, voices that come and go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import Server, served, until

from amtts_cli.server.keys import Keys
from amtts_cli.server.run import reload
from amtts_cli.server.worker import CURRENT, Job, Late, ModelWorker, Stopped
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError

ROUTE = "/v1/audio/speech"
BODY = {"input": "ሰላም ለዓለም።", "response_format": "wav"}
LONG = {"input": "ሰላም ለዓለም። " * 40, "response_format": "wav"}


def gate_of(server: Server) -> Any:
    return server.context.pool.gate("selam")


def posted(server: Server, body: dict[str, Any] = BODY, **headers: str) -> httpx.Response:
    with server.client() as client:
        return client.post(ROUTE, json=body, headers=headers)


# ---- queue ----


def test_what_the_queue_does_not_hold_is_told_when_to_come_again(run: Path) -> None:
    with served(run, active=1, waiting=1) as server, ThreadPoolExecutor(3) as threads:
        server.hold.open.clear()
        first = threads.submit(posted, server)
        until(lambda: gate_of(server).active == 1)
        second = threads.submit(posted, server)
        until(lambda: gate_of(server).waiting == 1)
        refused = posted(server)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "queue_full"
        server.hold.open.set()
        assert first.result().content == second.result().content
        assert first.result().status_code == 200
        assert (gate_of(server).active, gate_of(server).waiting) == (0, 0)


def test_a_key_has_its_share_and_no_more(run: Path) -> None:
    keys = {"one": "1" * 32, "two": "2" * 32}
    with served(run, keys=keys, per_key=1) as server, ThreadPoolExecutor(3) as threads:
        server.hold.open.clear()
        first = threads.submit(posted, server, authorization=f"Bearer {keys['one']}")
        until(lambda: gate_of(server).active == 1)
        again = posted(server, authorization=f"Bearer {keys['one']}")
        assert (again.status_code, again.json()["error"]["code"]) == (429, "key_limit_reached")
        other = threads.submit(posted, server, authorization=f"bearer {keys['two']}")
        until(lambda: gate_of(server).active == 2)
        server.hold.open.set()
        assert (first.result().status_code, other.result().status_code) == (200, 200)


@pytest.mark.parametrize("stream", [None, "audio"])
def test_an_answer_that_would_come_late_is_504(run: Path, stream: str | None) -> None:
    with served(run, deadline=1.0, active=1) as server, ThreadPoolExecutor(2) as threads:
        server.hold.open.clear()
        asked = [threads.submit(posted, server, {**BODY, "stream_format": stream}) for _ in range(2)]
        for reply in asked:  # one is spoken, one waits
            assert reply.result().status_code == 504
            assert reply.result().json()["error"]["code"] == "deadline_exceeded"
        server.hold.open.set()
        until(lambda: gate_of(server).active == 0)
        assert posted(server).status_code == 200


@pytest.mark.parametrize("stream", [None, "audio"])
def test_a_client_that_hangs_up_frees_its_place(run: Path, stream: str | None) -> None:
    with served(run, active=1) as server:
        server.hold.open.clear()
        passes = server.hold.passes
        for _ in range(3):  # the first is spoken, the others wait
            with server.client(), pytest.raises(httpx.ReadTimeout):
                httpx.post(server.url + ROUTE, json={**LONG, "stream_format": stream}, timeout=0.5)
        until(lambda: gate_of(server).waiting == 0)
        server.hold.open.set()
        until(lambda: gate_of(server).active == 0)
        assert server.hold.passes <= passes + 1, "the rest of the first text and the others were not spoken"


def test_a_reader_that_leaves_in_the_middle_of_a_stream_frees_its_place(run: Path) -> None:
    body = {**LONG, "stream_format": "audio"}
    with served(run, active=1) as server:
        with server.client() as client, client.stream("POST", ROUTE, json=body) as reply:
            next(reply.iter_bytes())
        until(lambda: gate_of(server).active == 0, seconds=10)
        assert posted(server).status_code == 200


def test_a_long_text_does_not_hold_up_a_short_one(run: Path) -> None:
    with served(run) as server, ThreadPoolExecutor(2) as threads:
        long = threads.submit(posted, server, LONG)
        until(lambda: gate_of(server).active == 1)
        short = posted(server)
        assert short.status_code == 200
        assert not long.done()
        assert long.result().status_code == 200


TEXTS = ["ሰላም ለዓለም።", "እናት አገር ሰላም ናት። ነገ ነው።", "ልጆቹ ነገ ለአገር። " * 3, "ነገ።"]


def spoken_together(server: Server) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """Each text alone, and all of them at once, six times."""
    alone = [posted(server, {**BODY, "input": text}).content for text in TEXTS]
    with ThreadPoolExecutor(8) as threads:
        jobs = [(n, threads.submit(posted, server, {**BODY, "input": TEXTS[n]})) for n in [0, 1, 2, 3] * 6]
        return alone, [(number, job.result().content) for number, job in jobs]


def test_the_same_bytes_whatever_else_is_spoken(run: Path) -> None:
    with served(run) as server:
        alone, together = spoken_together(server)
    assert all(content == alone[number] for number, content in together)


def test_shared_passes_change_no_more_than_rounding(run: Path) -> None:
    with served(run, together=8) as server:
        alone, together = spoken_together(server)
        page = server.context.metrics.text().decode().splitlines()
    for number, content in together:
        one, other = (np.frombuffer(data[44:], np.int16).astype(int) for data in (alone[number], content))
        assert len(one) == len(other)
        assert np.abs(one - other).max() <= 2
    (single,) = (line for line in page if line.startswith('amtts_pass_requests_bucket{le="1.0"'))
    (passes,) = (line for line in page if line.startswith("amtts_pass_requests_count"))
    assert float(single.split()[-1]) < float(passes.split()[-1]), "some passes were shared"


# ---- voices ----


def test_voices_are_loaded_when_asked_for_and_unloaded_when_idle(run: Path) -> None:
    voices = {"selam": str(run), "other": str(run)}
    with served(run, voices=voices, idle=0.3) as server:
        assert server.hold.loads == 1
        assert posted(server, {**BODY, "voice": "other"}).status_code == 200
        assert server.hold.loads == 2
        until(lambda: server.context.pool.loaded("other") is None)
        assert posted(server, {**BODY, "voice": "other"}).status_code == 200
        assert server.hold.loads == 3


def test_no_more_voices_than_fit(run: Path) -> None:
    voices = {"selam": str(run), "other": str(run)}
    with served(run, voices=voices, max_loaded=1) as server, ThreadPoolExecutor(1) as threads:
        assert posted(server, {**BODY, "voice": "other"}).status_code == 200
        assert server.context.pool.loaded("selam") is None
        server.hold.open.clear()
        busy = threads.submit(posted, server, {**BODY, "voice": "other"})
        until(lambda: server.context.pool.gate("other").active == 1)
        refused = posted(server)
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        server.hold.open.set()
        assert busy.result().status_code == 200


def test_recordings_to_speak_like_are_those_of_one_folder(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "references"
    folder.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (folder / "almaz.wav").write_bytes(b"RIFF")
    (folder / "notes.txt").write_text("no recording")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    with served(run, references=folder) as server:
        assert server.context.pool.names == ["selam", "selam+almaz"]
        for name in (
            "selam+secret",
            "selam+../secret",
            "selam+link",
            "selam+",
            f"selam+{tmp_path}/secret.wav",
        ):
            assert posted(server, {**BODY, "voice": name}).status_code == 404
        seen = posted(server, {**BODY, "voice": "selam+almaz"})
        assert server.hold.options["voice"] == folder / "almaz.wav"
        assert seen.status_code == 503  # this voice cannot speak like a recording; the log says so


def test_a_voice_that_cannot_be_loaded_is_503_without_its_path(run: Path, tmp_path: Path) -> None:
    voices = {"selam": str(run), "broken": str(tmp_path / "nothing")}
    with served(run, voices=voices) as server:
        refused = posted(server, {**BODY, "voice": "broken"})
        assert refused.status_code == 503
        assert str(tmp_path) not in refused.text


def test_it_is_not_ready_while_no_voice_can_speak(tmp_path: Path) -> None:
    with served(tmp_path / "nothing") as server, server.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert posted(server).status_code == 503


def test_reload_takes_new_keys_and_voices_while_requests_go_on(run: Path) -> None:
    with served(run, keys={"old": "a" * 32}) as server, ThreadPoolExecutor(1) as threads:
        server.hold.open.clear()
        under_way = threads.submit(posted, server, LONG, authorization=f"Bearer {'a' * 32}")
        until(lambda: gate_of(server).active == 1)
        old = server.context.pool.loaded("selam")
        asyncio.run(reload(server.context, lambda: Keys({"new": "b" * 32})))
        assert server.context.pool.loaded("selam") is not old
        server.hold.open.set()
        assert under_way.result().status_code == 200
        assert posted(server, authorization=f"Bearer {'a' * 32}").status_code == 401
        assert posted(server, authorization=f"Bearer {'b' * 32}").status_code == 200


def test_a_voice_that_cannot_be_reloaded_goes_on(run: Path) -> None:
    with served(run) as server:
        server.hold.fails = True
        asyncio.run(reload(server.context, lambda: Keys({})))
        assert posted(server).status_code == 200


# ---- the worker ----


class Doubling:
    """A backend whose speech is its request's seed."""

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.go = threading.Event()

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        assert self.go.wait(10)
        self.passes.append(len(requests))
        if any(request.seed == 13 for request in requests):
            raise ValueError("13")
        return [np.full(2, request.seed, np.float32) for request in requests]


def requests_of(*seeds: int) -> list[SynthesisRequest]:
    return [SynthesisRequest(tokens=[1], seed=seed) for seed in seeds]


def test_waiting_calls_share_a_pass_and_a_faulty_one_harms_none() -> None:
    backend = Doubling()
    worker = ModelWorker("w", backend, together=4)  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(worker.synthesize, requests_of(1))
        until(lambda: not worker._calls and not first.done())
        rest = [threads.submit(worker.synthesize, requests_of(seed)) for seed in (2, 3, 13)]
        until(lambda: len(worker._calls) == 3)
        backend.go.set()
        assert [int(f.result()[0][0]) for f in (first, *rest[:2])] == [1, 2, 3]
        with pytest.raises(ValueError, match="13"):
            rest[2].result()
    assert backend.passes == [1, 3, 1, 1, 1]
    worker.close()
    with pytest.raises(Stopped):
        worker.synthesize(requests_of(1))


def test_calls_of_a_job_that_is_over_are_not_made() -> None:
    backend = Doubling()
    worker = ModelWorker("w", backend, together=4)  # type: ignore[arg-type]

    def as_job(job: Job) -> Any:
        CURRENT.set(job)
        return worker.synthesize(requests_of(1))

    with ThreadPoolExecutor(4) as threads:
        running = threads.submit(worker.synthesize, requests_of(1))
        until(lambda: not worker._calls)
        stopped, late = Job(1e18), Job(0.0)
        waiting = threads.submit(as_job, stopped)
        until(lambda: len(worker._calls) == 1)
        with pytest.raises(Late):
            threads.submit(as_job, late).result()
        stopped.stop()
        with pytest.raises(Stopped):
            waiting.result()
        backend.go.set()
        running.result()
    assert backend.passes == [1]
    worker.close()


# ---- keys ----


def test_keys_of_a_file_and_the_environment(tmp_path: Path) -> None:
    from amtts_cli.server.keys import read_keys

    path = tmp_path / "keys"
    path.write_text("# mine\nradio:" + "r" * 32 + "\n\nweb : " + "w" * 32 + "\n")
    keys = read_keys(path, {"AMTTS_API_KEY": "e" * 32})
    assert keys.key_name(b"Bearer " + b"r" * 32) == "radio"
    assert keys.key_name(b"bearer " + b"w" * 32) == "web"
    assert keys.key_name(b"Bearer " + b"e" * 32) == "environment"
    for wrong in (b"", b"Bearer", b"Bearer x", b"Basic " + b"r" * 32, b"\xff\xfe", b"Bearer " + b"r" * 31):
        assert keys.key_name(wrong) is None
    for text in (
        "",
        "x",
        "a:short",
        "a:" + "k" * 32 + "\na:" + "l" * 32,
        "a:" + "k" * 32 + "\nb:" + "k" * 32,
    ):
        path.write_text(text)
        with pytest.raises(AmttsError, match="key|twice"):
            read_keys(path, {})
    assert not read_keys(None, {})
