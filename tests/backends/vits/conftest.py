"""Shared by the tests of VITS: a tiny backend, its utterances, and bundles of published numbers where there are any."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_voice import tiny_backend, tiny_examples

from amtts_core.contract.types import Example
from amtts_vits.backend import VitsBackend

BUNDLES = Path(__file__).parents[4] / "shared" / "fixtures"


@pytest.fixture
def backend() -> VitsBackend:
    """A fresh one of the smallest size."""
    backend = tiny_backend("vits")
    assert isinstance(backend, VitsBackend)
    return backend


@pytest.fixture
def examples(backend: VitsBackend) -> list[Example]:
    """Four utterances; the first is shorter than the others."""
    return tiny_examples(backend, 4, letters=[4, 6, 8, 9])


@pytest.fixture(params=["vits", "vits_deterministic"])
def bundle(request: pytest.FixtureRequest) -> Path:
    """A bundle of numbers that the published code produced."""
    folder = BUNDLES / str(request.param)
    if not folder.is_dir():
        pytest.skip(f"the bundle '{request.param}' is not beside this checkout")
    return folder
