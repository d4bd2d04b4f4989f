"""A wrong declaration of published weights is named when the backend is registered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from vocabularies import FAMILIES, declare, published_of

from amtts_core.contract.check import faults_of_backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.types import TextTensor


@pytest.mark.parametrize("backend", FAMILIES)
def test_the_declarations_of_amtts_are_sound(backend: str) -> None:
    assert faults_of_backend(get_backend(backend)) == []


def open_all(folder: object, deep: bool) -> None:
    """Asks for an argument that nobody gives."""


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "other"}, "spec.published.name is 'other', expected 'vits'"),
        ({"weight_files": ()}, "spec.published.weight_files names no file"),
        ({"tokenizer": None}, "text_tensors are declared, but no spec.published.tokenizer"),
        ({"text_tensors": (TextTensor("head", "head"),)}, "has to begin with an embedding"),
        ({"modes": ("extend", "grow")}, "expected some of extend, reuse"),
        ({"modes": ()}, "spec.published.modes is ()"),
        ({"text_names": "("}, "spec.published.text_names is no regular expression"),
        ({"open_weights": open_all}, "spec.published.open_weights cannot be called with 1 argument: missing"),
        ({"open_weights": None}, "spec.published.open_weights cannot be called with 1 argument"),
        ({"probe": lambda weights: {}}, "spec.published.probe cannot be called with 3 arguments: too many"),
        ({"tokenizer": "vits"}, "spec.published.tokenizer is of type str, expected TokenizerFormat"),
    ],
)
def test_each_fault_is_named(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], fault: str) -> None:
    kind = get_backend("vits")
    declare(monkeypatch, "vits", **changes)
    found = faults_of_backend(kind)
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"extend": lambda path, addition: None},
            "tokenizer.extend cannot be called with 2 arguments, reuse=..., pad_to=..., language=...",
        ),
        (
            {"train": lambda kind, texts: None},
            "tokenizer.train cannot be called with 2 arguments, vocab_size",
        ),
        ({"read_vocabulary": {}}, "tokenizer.read_vocabulary cannot be called with 1 argument"),
    ],
)
def test_so_is_each_of_the_tokenizer(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], fault: str
) -> None:
    kind = get_backend("vits")
    declare(monkeypatch, "vits", tokenizer=replace(published_of("vits").tokenizer, **changes))
    found = faults_of_backend(kind)
    assert len(found) == 1
    assert fault in found[0]


def test_another_object_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = get_backend("vits")
    monkeypatch.setattr(kind, "spec", replace(kind.spec, published=print))
    assert faults_of_backend(kind) == [
        "spec.published is of type builtin_function_or_method, expected PublishedFormat"
    ]
