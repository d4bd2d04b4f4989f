"""A tiny trained voice, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs amtts[server]")
pytest.importorskip("prometheus_client", reason="needs amtts[server]")

from served import Server, served
from tiny_voice import tiny_voice


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(tmp_path_factory.mktemp("served"))[1]


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Server]:
    with served(run) as found:
        yield found
