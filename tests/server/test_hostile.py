"""The short version of `benchmarks/hostile_server.py`: no 500, nothing kept, and the same speech afterwards."""

from __future__ import annotations

import importlib.util
import logging
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import served, until

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "hostile_server.py"


@pytest.fixture(scope="module")
def hostile() -> Any:
    spec = importlib.util.spec_from_file_location("hostile_server", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["hostile_server"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hostile_requests(run: Path, hostile: Any, caplog: pytest.LogCaptureFixture) -> None:
    with served(run, body_timeout=1.0) as server, caplog.at_level(logging.ERROR):

        def speech() -> bytes:
            return httpx.post(server.url + hostile.ROUTE, json=hostile.GOOD, timeout=60).content

        before = speech()
        attack = hostile.attack_with(server.url, 120)
        assert not attack.wrong, attack.wrong
        assert len(attack.replies) > 12, "every kind was there"
        assert speech() == before

        def idle() -> bool:
            page = httpx.get(server.url + "/metrics", timeout=60).text
            found = re.findall(r"^amtts_(?:active|queue_length|websockets)\S* (\S+)$", page, re.MULTILINE)
            return len(found) == 3 and not any(map(float, found))

        until(idle)
        assert not [record for record in caplog.records if record.exc_info], caplog.text
