"""Gradient checkpointing and torch.compile: the same weights under the same names, and refused where they cannot be."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_voice import fit_statistics, tiny_backend, tiny_config, tiny_examples, train_tiny

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.config.sections import TrainingConfig
from amtts_core.errors import AmttsError
from amtts_core.training import blocks
from amtts_core.training.blocks import prepare_blocks

BACKENDS = [
    "chatterbox-mel",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("chatterbox", "indextts2", "vits")),
]


def gradients(name: str, **training: Any) -> dict[str, torch.Tensor]:
    """Of every phase, from the same batch and the same draws."""
    backend = tiny_backend(name)
    examples = tiny_examples(backend, 3)
    if backend.spec.learns_from == "mel":
        fit_statistics(backend, examples)
    prepare_blocks(backend, TrainingConfig.model_validate(training))
    learner, batch = backend.learner(), backend.collate(examples)
    for module in learner.modules.values():
        module.train()
    for part in backend.network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
    torch.manual_seed(3)
    for loss in learner.losses(batch):
        loss.total.backward(inputs=learner.parameters(loss.phase))
    return {n: p.grad for n, p in backend.network.named_parameters() if p.grad is not None}


BOTH: dict[str, Any] = {"gradient_checkpointing": True, "compile": "eager"}


@pytest.mark.parametrize("setting", [{"gradient_checkpointing": True}, {"compile": "eager"}, BOTH])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_the_same(backend: str, setting: dict[str, Any]) -> None:
    plain, other = gradients(backend), gradients(backend, **setting)
    assert set(other) == set(plain)
    assert len(plain) > 5
    for name, gradient in plain.items():
        torch.testing.assert_close(
            other[name], gradient, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.slow
def test_a_run_with_both_is_resumed_and_its_checkpoint_has_the_same_names(
    corpus: Path, tmp_path: Path
) -> None:
    train_tiny(corpus, tmp_path / "plain", training={"max_steps": 2})
    train_tiny(corpus, tmp_path / "both", training={"max_steps": 1, **BOTH})
    train_tiny(corpus, tmp_path / "both", resume=True, training={"max_steps": 2})
    plain, both = (read_checkpoint(tmp_path / name, prefer="latest") for name in ("plain", "both"))
    assert set(both.weights()) == set(plain.weights())
    assert both.info.metrics["val/total"] == pytest.approx(plain.info.metrics["val/total"], rel=1e-3)


def test_blocks_are_really_computed_twice_and_really_compiled() -> None:
    for setting, calls in ({"gradient_checkpointing": True}, 2), ({}, 1):
        backend = tiny_backend("chatterbox-mel")
        assert backend.spec.blocks is not None
        prepare_blocks(backend, TrainingConfig.model_validate(setting))
        block, counted = backend.blocks()[0], []
        block.norm.register_forward_hook(lambda *_, counted=counted: counted.append(1))
        block.train()
        block(torch.randn(1, 5, 32, requires_grad=True), torch.ones(1, 5, 1)).sum().backward()
        assert len(counted) == calls
    prepare_blocks(backend, TrainingConfig(compile="aot_eager"))
    plain: Any = backend.blocks()[0].forward.__func__.plain  # type: ignore[attr-defined]
    assert hasattr(plain, "_torchdynamo_orig_callable")


def test_a_copy_of_a_network_computes_with_its_own_weights() -> None:
    backend = tiny_backend("chatterbox-mel")
    assert backend.spec.blocks is not None
    prepare_blocks(backend, TrainingConfig(gradient_checkpointing=True, compile="eager"))
    block = backend.blocks()[0]
    other = copy.deepcopy(block)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    hidden, mask = torch.randn(1, 5, 32), torch.ones(1, 5, 1)
    assert torch.equal(other.train()(hidden, mask), hidden)
    assert not torch.equal(block.train()(hidden, mask), hidden)


@pytest.mark.parametrize("setting", [{"gradient_checkpointing": True}, {"compile": "eager"}])
def test_a_backend_without_blocks_refuses(setting: dict[str, Any]) -> None:
    with pytest.raises(
        AmttsError, match=f"training.{next(iter(setting))} cannot be used with backend 'mel-codes'"
    ):
        prepare_blocks(tiny_backend("mel-codes"), TrainingConfig(**setting))


def test_inductor_without_a_compiler_is_told_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_has_compiler", lambda: False)
    with pytest.raises(AmttsError, match="needs a C.. compiler"):
        prepare_blocks(tiny_backend("chatterbox-mel"), TrainingConfig(compile="inductor"))


def test_both_are_off_by_default() -> None:
    config, _ = tiny_config()
    assert (config.training.gradient_checkpointing, config.training.compile) == (False, "off")
