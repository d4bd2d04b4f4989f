"""Who may ask the studio, and how much."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from amtts_cli.studio.front import Front
from amtts_cli.studio.login import VARIABLE, Login, read_login
from amtts_core.errors import AmttsError

PASSWORD = "correct-horse-battery"


def _client(login: Login | None = None, *, hosts: tuple[str, ...] | None = (), largest: int = 100):
    inner = Starlette(routes=[Route("/", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])])
    front = Front(inner, login=login or Login({}), hosts=hosts, largest=largest)
    return TestClient(front, base_url="http://localhost:7860")


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_pages_of_other_names_and_origins_are_refused():
    client = _client(hosts=("studio.lan",))
    assert client.get("/").text == "in"
    assert client.get("/", headers={"Host": "studio.lan:7860"}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/", headers={"Origin": "http://localhost:7860"}).status_code == 200


def test_a_browser_asks_no_other_machine():
    policy = _client().get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert "https:" not in policy


def test_a_large_upload_is_refused_before_it_is_read():
    client = _client(largest=2 << 20)
    assert client.post("/", content=b"x").status_code == 200
    refused = client.post("/", headers={"Content-Length": str(2 << 30)}, content=b"x")
    assert refused.status_code == 413
    assert "2 MiB" in refused.text
    assert refused.text.count("\n") == 1


@pytest.mark.parametrize(
    "headers",
    [{}, _basic("selam:wrong"), _basic("x"), {"Authorization": "Basic %"}, {"Authorization": "Bearer x"}],
)
def test_nothing_is_served_without_the_login(headers: dict[str, str]):
    client = _client(Login({"selam": PASSWORD}), hosts=None)
    refused = client.get("/", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert client.get("/", headers=_basic(f"selam:{PASSWORD}")).text == "in"


def test_logins_are_read_from_file_and_environment(tmp_path: Path):
    file = tmp_path / "logins"
    file.write_text(f"# people\nselam:{PASSWORD}\n", encoding="utf-8")
    login = read_login(file, {VARIABLE: f"almaz:{PASSWORD}:with:colons"})
    assert login
    assert login.admits(_basic(f"almaz:{PASSWORD}:with:colons")["Authorization"])
    assert not login.admits(_basic("selam:")["Authorization"])
    assert not read_login(None, {})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "holds no login"),
        ("selam", "expected name:password"),
        ("selam:short", "at least 12"),
        (f"a:{PASSWORD}\na:{PASSWORD}", "there twice"),
    ],
)
def test_a_login_file_that_protects_nothing_is_refused(tmp_path: Path, text: str, what: str):
    file = tmp_path / "logins"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(AmttsError, match=what):
        read_login(file, {})


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--host", "0.0.0.0"), "error: --host 0.0.0.0 lets other machines in, and there is no login"),
        (("--language", "fr"), "error: --language fr is unknown; expected one of: am, en"),
        (("--auth-file", "absent"), "error: --auth-file absent: No such file"),
    ],
)
def test_mistakes_of_the_command_are_one_line(amtts, tmp_path: Path, options: tuple[str, ...], what: str):
    ended = amtts("studio", "--folder", tmp_path / "w", *options, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(what)
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "w").exists()
