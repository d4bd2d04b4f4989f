"""Backends are found by entry point, and a broken package breaks nothing but itself."""

from __future__ import annotations

import sys

import pytest

from amtts_core.contract.registry import backend_names, get_backend, list_backends
from amtts_core.errors import AmttsError

BROKEN = {
    "no-module": ("nowhere_at_all:Backend", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "no-class": ("broken_plugin:Missing", "AttributeError"),
    "no-backend": ("broken_plugin:NoBackend", "is not a subclass of amtts_core.contract.backend.Backend"),
    "no-spec": ("broken_plugin:NoSpec", "has no `spec` of type BackendSpec"),
    "abstract": ("broken_plugin:Abstract", "Abstract does not define 'collate'"),
    "undefined": (
        "broken_plugin:Misspelled",
        "Misspelled declares Streaming and does not define 'stream' (did you mean 'streem'?)",
    ),
    "signature": (
        "broken_plugin:OtherSignature",
        "OtherSignature.stream has the parameters (self, text), Streaming expects (self, request)",
    ),
    "undeclared": ("broken_plugin:Undeclared", "defines 'stream', and its spec does not declare Streaming"),
    "near-miss": ("broken_plugin:NearMiss", "defines 'check_exampel', which the contract does not know"),
    "bad-preset": ("broken_plugin:BadPreset", "preset 'tiny' does not fit"),
    "raises": ("raising_plugin:Backend", "RuntimeError: two lines"),
    "exits": ("exiting_plugin:Backend", "SystemExit: 3"),
    "not-a-target": ("not a target", ""),
}
MODULES = {
    "broken_plugin": """
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import Streaming
from amtts_core.settings import Settings


def spec(presets=None, **capabilities):
    return BackendSpec(
        name="x", summary="x", sample_rate=8000, learns_from="mel", config=Settings,
        presets=presets or {"tiny": {}}, **capabilities,
    )


class NoBackend: pass
class NoSpec(Backend): pass
class Abstract(Backend): spec = spec()
class Whole(Backend):
    spec = spec()
    def build_network(self): ...
    features = collate = learner = synthesize = build_network
class Misspelled(Whole):
    spec = spec(streaming=Streaming())
    def streem(self, request): ...
class OtherSignature(Whole):
    spec = spec(streaming=Streaming())
    def stream(self, text): ...
class Undeclared(Whole):
    def stream(self, request): ...
class NearMiss(Whole):
    def check_exampel(self, num_tokens, lengths): ...
class BadPreset(Whole): spec = spec(presets={"tiny": {"width": 3}})
""",
    "raising_plugin": "raise RuntimeError('two\\nlines')\n",
    "exiting_plugin": "raise SystemExit(3)\n",
}


@pytest.fixture
def broken(make_package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose every backend fails in its own way."""
    site = make_package("broken", backends={k: target for k, (target, _) in BROKEN.items()}, modules=MODULES)
    monkeypatch.syspath_prepend(str(site))
    for module in MODULES:
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_a_third_party_backend_is_found_by_name(toy: str) -> None:
    assert toy in backend_names()
    assert get_backend(toy).spec.sample_rate == 16000
    entry = next(entry for entry in list_backends() if entry.name == toy)
    assert (entry.distribution, entry.target, entry.problem) == ("amtts-toy", "amtts_toy:ToyBackend", "")


def test_names_are_listed_without_importing_the_backend(toy: str) -> None:
    assert toy in backend_names()
    assert "amtts_toy" not in sys.modules


def test_broken_backends_are_listed_with_their_reasons(broken: None, toy: str) -> None:
    entries = {entry.name: entry for entry in list_backends()}
    for name, (_, reason) in BROKEN.items():
        assert entries[name].spec is None
        assert entries[name].problem, name
        assert reason in entries[name].problem
        assert "\n" not in entries[name].problem
    assert entries[toy].problem == ""


@pytest.mark.parametrize("name", BROKEN)
def test_choosing_a_broken_backend_is_one_line(broken: None, name: str) -> None:
    with pytest.raises(
        AmttsError, match=f"backend '{name}' .* cannot be imported: .*amtts backends"
    ) as caught:
        get_backend(name)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_gets_the_nearest_and_the_list(toy: str) -> None:
    with pytest.raises(AmttsError, match=r"unknown backend 'toi' \(did you mean 'toy'\?\); installed: .*toy"):
        get_backend("toi")


def test_a_package_without_metadata_hides_nobody(
    make_package, monkeypatch: pytest.MonkeyPatch, toy: str
) -> None:
    site = make_package("bare", backends={"bare": "bare_plugin:Backend"}, modules={}, metadata=False)
    monkeypatch.syspath_prepend(str(site))
    entries = {entry.name: entry for entry in list_backends()}
    assert "ModuleNotFoundError" in entries["bare"].problem
    assert entries[toy].problem == ""


def test_a_name_taken_twice_keeps_its_first_owner(make_package, monkeypatch: pytest.MonkeyPatch) -> None:
    own = sorted(entry.name for entry in list_backends() if entry.distribution == "amtts")[0]
    site = make_package("thief", backends={own: "thief_plugin:Backend"}, modules={})
    monkeypatch.syspath_prepend(str(site))
    first, second = (entry for entry in list_backends() if entry.name == own)
    assert first.distribution == "amtts"
    assert second.distribution == "thief"
    assert second.problem.startswith("the name is taken by ")
    assert second.spec is None
