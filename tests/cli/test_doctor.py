"""`amtts doctor` shows what was measured, and measures on demand."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest
import torch
from command_line import call

from amtts_core.run.machine import EXTRAS
from amtts_core.speech_lm import runtime, tuning

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(tuning.VARIABLE)
    monkeypatch.setattr(tuning, "BUSY", 1e9)  # others may be at work on the machine of the tests
    tuning.forget()


def test_it_says_where_nothing_was_measured(tmp_path: Path) -> None:
    done = call("doctor")
    assert done.code == 0
    assert tuning.machine() in done.out
    assert str(tmp_path / "amtts" / "kernels.json") in done.out
    assert "nothing has been measured yet" in done.out
    assert call("doctor", "--json").json()["choices"] == []


def test_it_measures_and_shows_every_kind_of_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    small = runtime.measure_shape
    monkeypatch.setattr(runtime, "measure_shape", lambda: small(width=128, layers=2, heads=4, codes=600))
    found = call("doctor", "--measure", "--json").json()["choices"]
    assert {choice["key"].partition(":")[0] for choice in found} == set(tuning.KINDS)
    assert all(choice["speedup"] >= 0.99 for choice in found), "never slower than plain torch"
    tuning.forget()
    assert call("doctor", "--json").json()["choices"] == found, "kept"


def test_a_wrong_pin_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tuning.VARIABLE, "fast")
    call("doctor").refused("AMTTS_KERNELS='fast'", "expected auto, plain, or KIND=NAME")


def test_it_tells_what_is_installed_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else find(name, *rest)
    )
    done = call("doctor")
    assert "base voice: ok" in done.out
    assert f"torch {torch.__version__}" in done.out
    assert "extra 'lora' lacks peft: pip install 'amtts[lora]'" in done.out
    facts = call("doctor", "--json").json()["installation"]
    assert facts["memory"] > facts["threads"] >= 1
    assert {extra["name"] for extra in facts["extras"]} == set(EXTRAS)


def test_every_extra_that_a_user_installs_is_looked_for() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(declared["project"]["optional-dependencies"]) - {"dev", "docs", "vocoder"}
    assert set(EXTRAS) == extras
