"""The contract suite as pytest tests: every check of `amtts_core.preflight.contract` for some backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from amtts_core.config.run_config import resolve_config
from amtts_core.config.sections import OptimConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.preflight.contract import CONTRACT, run_check
from amtts_core.preflight.subject import Spoken, Subject
from amtts_core.testing.made_up_speech import (
    SECONDS_PER_LETTER,
    ExampleList,
    made_up_examples,
)
from amtts_core.tokenizers.factory import train_tokenizer

TEXTS = ("ለመሰረ በተነአ።", "ሰላም።", "ከወደገ ለመሰ ረበተ ነአ።")
"""What is spoken after training; the second is the shortest, the last the longest."""
STEPS, RATE, MAX_RATIO = 80, 3e-3, 0.65
"""Of the training on four utterances, and the loss that it has to reach as a share of the first."""
LONG = 14
"""Letters of the longest utterance, which is not trained on."""


def smallest(name: str, *, model: Mapping[str, Any]) -> Subject:
    """A backend at its smallest: preset `tiny`, or the default one, and made-up speech.

    Args:
        name: of an installed backend.
        model: settings of the network that it cannot be built without.

    Raises:
        AmttsError: there is no such backend, or it needs other settings.
    """
    torch.manual_seed(7)
    presets = get_backend(name).spec.presets
    preset = "tiny" if "tiny" in presets else ""
    config, kind = resolve_config({"backend": name, "preset": preset, "model": dict(model)})
    settings = config.model_config_of(kind.spec)
    fidel = train_tokenizer("fidel", []) if kind.spec.text else None

    def rebuild(*, tokenizer: TextTokenizer | None = None, speakers: Iterable[str] = ()) -> Backend:
        return kind(settings, tokenizer=tokenizer or fidel, speakers=list(speakers))

    backend = rebuild()
    examples = made_up_examples(backend, 4)
    backend.initialize(ExampleList(examples))
    examples += [
        replace(example, id="e4") for example in made_up_examples(backend, 1, seed=1, letters=[LONG])
    ]
    backend.network.eval()
    return Subject(
        backend=backend,
        examples=examples,
        spoken=_spoken(backend),
        optim=OptimConfig(learning_rate=RATE, clip_norm=0),
        steps=STEPS,
        rebuild=rebuild,
        max_ratio=MAX_RATIO,
    )


def _spoken(backend: Backend) -> list[Spoken]:
    tokenizer = backend.text_tokenizer
    if tokenizer is None:
        return []
    if backend.spec.learns_from == "codes":
        # A language model that overfitted a few utterances knows how long those last, and no others.
        known = made_up_examples(backend, 3)
        texts = [tokenizer.decode(example.tokens) for example in sorted(known, key=lambda e: len(e.tokens))]
        texts = [texts[1], texts[0], texts[2]]
    else:
        texts = list(TEXTS)
    return [Spoken(tokenizer.encode(text), SECONDS_PER_LETTER * len(text)) for text in texts]


def contract_tests(
    *names: str,
    model: Callable[[str], Mapping[str, Any]] | Mapping[str, Any] | None = None,
    skip: Mapping[tuple[str, str], str] | None = None,
) -> Callable[[str, str], None]:
    """A pytest test of every check for every backend; assign it to a name that begins with `test_`.

        test_contract = contract_tests("my-model")

    Args:
        *names: of installed backends.
        model: settings of the network that a backend cannot be built without, or a function of its name that returns
            them; a function is called when the test runs.
        skip: (backend, check) to why it is not made.
    """
    import pytest

    @cache
    def subject(name: str) -> Subject:
        return smallest(name, model=model(name) if callable(model) else model or {})

    @pytest.mark.parametrize("check", CONTRACT)
    @pytest.mark.parametrize("backend", names)
    def test(backend: str, check: str) -> None:
        if reason := (skip or {}).get((backend, check)):
            pytest.skip(reason)
        found = run_check(check, subject(backend))
        if found.status == "skipped":
            pytest.skip(found.detail)
        assert found.ok, f"{check}: {found.detail}"

    return test
