"""Every backend of amtts holds the contract; the suite is the one that packages of others run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tiny_voice import NEEDS, tiny_backend

from amtts_core.contract.registry import list_backends
from amtts_core.testing import contract_tests

OWN = [entry.name for entry in list_backends() if entry.distribution == "amtts"]
HELD_ELSEWHERE = {
    ("vits", "text matters"): "most of the loss is sound rebuilt from sound: vits/test_learning.py"
}


def model(name: str) -> Mapping[str, Any]:
    """Settings that a backend cannot be built without."""
    found: Mapping[str, Any] = NEEDS.get(name, {}).get("model", {})
    return found


test_contract = contract_tests(*OWN, model=model, skip=HELD_ELSEWHERE)


def test_all_backends_are_here() -> None:
    assert {"chatterbox-mel", "chatterbox", "indextts2", "vits", "dac"} <= set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_opening_the_codec_draws_no_random_number(name: str) -> None:
    """A training in which a codec is opened goes on with the numbers it would have drawn."""
    backend = tiny_backend(name)
    before = torch.get_rng_state()
    if codes := backend.spec.speech_codes:
        codes.of(backend).speech_codec()
    assert torch.equal(torch.get_rng_state(), before)
